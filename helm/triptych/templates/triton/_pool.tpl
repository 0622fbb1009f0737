{{/*
A pool is a Deployment of Triton servers that are alike: the same hardware, the same engines. Pools of several GPU
products live side by side; the inference service knows the headless Service of each.
*/}}

{{/* Values of a pool: `defaults`, then what its backend brings, then its own. Argument: {root, pool}. */}}
{{- define "triptych.pool" -}}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values.triton .pool.backend)) .pool | toYaml -}}
{{- end -}}

{{- define "triptych.pool.name" -}}
{{ include "triptych.fullname" .root }}-triton-{{ .pool.name }}
{{- end -}}

{{/* Labels that tell its Pods from those of other pools. */}}
{{- define "triptych.pool.labels" -}}
triptych/pool: {{ .name }}
{{- end -}}

{{/* Nodes that have the GPU that the pool is for. Argument: pool. */}}
{{- define "triptych.pool.nodeSelector" -}}
{{- $nodes := default dict .nodeSelector -}}
{{- with (default dict .gpu).product -}}
{{- $nodes = merge (dict $.gpu.productLabel .) $nodes -}}
{{- end -}}
{{- toYaml $nodes -}}
{{- end -}}

{{/* Resources of a container that uses the pool's GPU: by the device plugin, MIG slices included, or a claim. */}}
{{- define "triptych.pool.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if eq .backend "gpu" -}}
{{- if .gpu.dra.enabled -}}
{{- $_ := set $resources "claims" (list (dict "name" "gpu")) -}}
{{- else -}}
{{- $_ := set $resources "limits" (merge (dict .gpu.resourceName (int64 .gpu.count)) (default dict $resources.limits)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Claim of a GPU, of a Pod. Argument: {root, pool}. */}}
{{- define "triptych.pool.claims" -}}
{{- if and (eq .pool.backend "gpu") .pool.gpu.dra.enabled }}
resourceClaims:
  - name: gpu
    resourceClaimTemplateName: {{ include "triptych.pool.name" . }}
{{- end }}
{{- end -}}

{{/* Command line. The image for CPUs brings all flags that are the same everywhere. Argument: {root, pool}. */}}
{{- define "triptych.pool.args" -}}
{{- $triton := .root.Values.triton -}}
{{- range $triton.models }}
- --load-model={{ . }}
{{- end }}
- --exit-timeout-secs={{ int64 .pool.lifecycle.drainTimeoutSeconds }}
{{- if eq .pool.backend "gpu" }}
- --model-repository=/models
- --model-control-mode=explicit
- --disable-auto-complete-config
# A model that cannot load must not take the others down; readiness tells.
- --exit-on-error=false
- --strict-readiness=true
# Idle connections of HTTP clients would hold the exit for its whole timeout.
- --allow-http={{ .root.Values.tls.enabled }}
- --allow-sagemaker=false
- --allow-vertex-ai=false
- --grpc-address=0.0.0.0
- --grpc-port=8001
- --metrics-address=0.0.0.0
- --metrics-port=8002
- --metrics-interval-ms=2000
- --grpc-keepalive-time=30000
- --grpc-keepalive-timeout=10000
- --grpc-keepalive-permit-without-calls=1
- --grpc-http2-min-recv-ping-interval-without-data=5000
# A lock without a key: names of headers have no capitals, so no call that administers is let in.
- --grpc-restricted-protocol=model-repository,shared-memory,trace,logging:NOBODY=-
- --grpc-infer-allocation-pool-size=64
- --log-format=ISO8601
{{- else if .root.Values.tls.enabled }}
- --allow-http=true
{{- end }}
{{- if .root.Values.tls.enabled }}
# For the probes only, which know no TLS: it listens to the Pod itself.
- --http-address=127.0.0.1
- --http-port=8000
- --grpc-use-ssl=true
- --grpc-use-ssl-mutual=true
- --grpc-server-cert=/etc/triptych/tls/tls.crt
- --grpc-server-key=/etc/triptych/tls/tls.key
- --grpc-root-cert=/etc/triptych/tls/ca.crt
{{- end }}
{{- with .root.Values.tracing.otlpEndpoint }}
# Rate 0: only requests are traced that come with a context, and those are sampled already.
- --trace-config=mode=opentelemetry
- --trace-config=rate=0
- --trace-config=level=TIMESTAMPS
- --trace-config=opentelemetry,url={{ trimSuffix "/" . }}/v1/traces
- --trace-config=opentelemetry,resource=service.name=triptych-triton
- --trace-config=opentelemetry,bsp_schedule_delay=1000
{{- end }}
{{- range .pool.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/*
Triton's health answers whether it is ready, so it is asked for that only; that it is alive, its metrics say.
Argument: {root, pool}.
*/}}
{{- define "triptych.pool.probes" -}}
{{- $ready := dict "grpc" (dict "port" 8001) -}}
{{- if .root.Values.tls.enabled -}}
{{- $ask := "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)" -}}
{{- $ready = dict "exec" (dict "command" (list "python3" "-c" $ask)) -}}
{{- end -}}
startupProbe:
  {{- toYaml $ready | nindent 2 }}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: {{ div (int64 .pool.probes.startupSeconds) 2 }}
livenessProbe:
  httpGet:
    path: /metrics
    port: metrics
  periodSeconds: {{ int64 .pool.probes.livenessPeriodSeconds }}
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  {{- toYaml $ready | nindent 2 }}
  periodSeconds: {{ int64 .pool.probes.readinessPeriodSeconds }}
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}
