{{/*
A tier is a Deployment of our own processes, gateway, preprocess, inference or postprocess, or the StatefulSet of
experiments. They differ in their environment (templates/<tier>/_env.tpl), their ports, and whether they read the models
or keep something; all else is here, once.
*/}}

{{/* Names of all tiers, as JSON. Argument: root. */}}
{{- define "triptych.tiers" -}}
{{- concat (list "gateway") (include "triptych.stages" . | fromJsonArray) (.Values.experiments.enabled | ternary (list "experiments") list) | toJson -}}
{{- end -}}

{{/* Names of those that a request passes behind the gateway: they read the models, and have a port for links. */}}
{{- define "triptych.stages" -}}
["preprocess", "inference", "postprocess"]
{{- end -}}

{{/* Says whether it is one of those. Argument: the tier's name. */}}
{{- define "triptych.isStage" -}}
{{- if has . (include "triptych.stages" . | fromJsonArray) }}true{{ end -}}
{{- end -}}

{{/*
Values of a tier: `defaults` below its own. No autoscaler holds a tier that keeps something: what a replica has not yet
brought to the database would stay behind. Argument: {root, tier}.
*/}}
{{- define "triptych.tier" -}}
{{- $tier := mergeOverwrite (deepCopy .root.Values.defaults) (index .root.Values .tier) -}}
{{- if eq .tier "experiments" -}}
{{- $_ := set $tier.autoscaling "type" "none" -}}
{{- end -}}
{{- $tier | toYaml -}}
{{- end -}}

{{- define "triptych.tier.healthService" -}}
{{- $others := dict "gateway" "classification.v1.ClassificationService" "experiments" "experiments.v1.ExperimentService" -}}
triptych.{{ get $others . | default (printf "%s.v1.%sService" . (title .)) }}
{{- end -}}

{{/* Whether callers need TLS: services answer with `tls`, the gateway with `edgeTLS`. Argument: {root, tier}. */}}
{{- define "triptych.tier.answersTLS" -}}
{{- if (eq .tier "gateway" | ternary .root.Values.edgeTLS .root.Values.tls).enabled }}true{{ end -}}
{{- end -}}

{{/* Argument: {root, tier}. */}}
{{- define "triptych.tier.deployment" -}}
{{- $pod := include "triptych.tier" . | fromYaml -}}
{{- $ids := dict "root" .root "component" .tier "pod" $pod -}}
apiVersion: apps/v1
kind: Deployment
{{ include "triptych.metadata" (merge (dict "name" (printf "%s-%s" (include "triptych.fullname" .root) .tier)) $ids) }}
spec:
  {{- if eq $pod.autoscaling.type "none" }}
  replicas: {{ int64 $pod.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  minReadySeconds: {{ int64 $pod.minReadySeconds }}
  strategy:
    rollingUpdate:
      {{- toYaml $pod.strategy | nindent 6 }}
  selector:
    matchLabels:
      {{- include "triptych.selectorLabels" $ids | nindent 6 }}
  template:
    {{- include "triptych.tier.template" $ids | nindent 4 }}
{{- end -}}

{{/* What each of its Pods is. Argument: {root, component, pod}. */}}
{{- define "triptych.tier.template" -}}
{{- $root := .root -}}
{{- $tier := .component -}}
{{- $pod := .pod -}}
{{- $ids := . -}}
{{- $readsModels := include "triptych.isStage" $tier -}}
{{ include "triptych.podMetadata" $ids }}
spec:
  {{- include "triptych.podSecurity" (dict "root" $root "user" $root.Values.podSecurity.user) | nindent 2 }}
  {{- with include "triptych.scheduling" (merge (dict "selector" (include "triptych.selectorLabels" $ids)) $ids) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "triptych.grace" (dict "path" $tier "lifecycle" $pod.lifecycle) }}
  {{- if $readsModels }}
  {{- with include "triptych.models.init" $root | trim }}
  initContainers:
    {{- . | nindent 4 }}
  {{- end }}
  {{- end }}
  containers:
    - name: {{ $tier }}
      {{- include "triptych.imageFields" (dict "root" $root "image" $pod.image) | nindent 6 }}
      {{- include "triptych.containerSecurity" . | nindent 6 }}
      env:
        {{- include "triptych.tier.env" $ids | nindent 8 }}
        {{- with include (printf "triptych.%s.env" $tier) $root | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $pod.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- if eq $tier "gateway" }}
        - {name: http, containerPort: 8080}
        {{- end }}
        - {name: grpc, containerPort: 8081}
        {{- if $readsModels }}
        - {name: link, containerPort: 8082}
        {{- end }}
        - {name: metrics, containerPort: 9464}
      {{- include "triptych.tier.probes" (dict "root" $root "tier" $tier "pod" $pod) | nindent 6 }}
      {{- with include "triptych.preStop" $pod.lifecycle | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      resources:
        {{- toYaml $pod.resources | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if $readsModels }}
        {{- include "triptych.models.mount" $root | nindent 8 }}
        {{- with include "triptych.trustedKeys.mount" $root | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- end }}
        {{- if eq $tier "experiments" }}
        {{- include "triptych.experiments.mounts" $root | nindent 8 }}
        {{- end }}
        {{- with include "triptych.tls.mounts" $ids | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $pod.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: {{ $pod.tmpSizeLimit }}
    {{- if $readsModels }}
    {{- include "triptych.models.volume" $root | nindent 4 }}
    {{- with include "triptych.trustedKeys.volume" $root | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
    {{- if eq $tier "experiments" }}
    {{- with include "triptych.experiments.volumes" $root | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
    {{- with include "triptych.tls.volumes" $ids | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with $pod.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Environment that every tier has. Argument: {root, component, pod}. */}}
{{- define "triptych.tier.env" -}}
- {name: TRIPTYCH_HOST, value: "0.0.0.0"}
- {name: TRIPTYCH_PORT, value: "8081"}
- {name: TRIPTYCH_METRICS_PORT, value: "9464"}
- {name: TRIPTYCH_DRAIN_DELAY_S, value: {{ .pod.lifecycle.drainDelaySeconds | toJson | quote }}}
- {name: TRIPTYCH_DRAIN_TIMEOUT_S, value: {{ .pod.lifecycle.drainTimeoutSeconds | toJson | quote }}}
{{- if include "triptych.isStage" .component }}
- {name: TRIPTYCH_LINK_PORT, value: "8082"}
- {name: TRIPTYCH_MODEL_REPOSITORY, value: /models}
{{- if include "triptych.trustedKeys" .root }}
- {name: TRIPTYCH_TRUSTED_KEYS, value: /etc/triptych/trusted-keys/trusted-keys}
{{- end }}
{{- end }}
{{- with .root.Values.tracing }}
{{- if .otlpEndpoint }}
- {name: TRIPTYCH_OTLP_ENDPOINT, value: {{ .otlpEndpoint | quote }}}
- {name: TRIPTYCH_TRACE_SAMPLE_RATIO, value: {{ .sampleRatio | toJson | quote }}}
{{- end }}
{{- end }}
{{- include "triptych.tls.env" . }}
{{- /* maxImageBytes sets TRIPTYCH_MAX_IMAGE_BYTES; JSON, since large numbers would otherwise read 6.7e+07. */}}
{{- range $key, $value := .pod.config }}
{{- if not (kindIs "invalid" $value) }}
- {name: TRIPTYCH_{{ snakecase $key | upper }}, value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* With TLS the kubelet asks over HTTP: its gRPC probes know no TLS. Argument: {root, tier, pod}. */}}
{{- define "triptych.tier.probes" -}}
{{- $alive := dict "grpc" (dict "port" 8081) -}}
{{- $ready := dict "grpc" (dict "port" 8081 "service" (include "triptych.tier.healthService" .tier)) -}}
{{- if include "triptych.tier.answersTLS" . -}}
{{- $alive = dict "httpGet" (dict "path" "/healthz" "port" "metrics") -}}
{{- $ready = dict "httpGet" (dict "path" "/readyz" "port" "metrics") -}}
{{- end -}}
# Alive never depends on a neighbour; ready does.
startupProbe:
  {{- toYaml $alive | nindent 2 }}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: {{ int64 .pod.probes.startupSeconds }}
livenessProbe:
  {{- toYaml $alive | nindent 2 }}
  periodSeconds: {{ int64 .pod.probes.livenessPeriodSeconds }}
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  {{- toYaml $ready | nindent 2 }}
  periodSeconds: {{ int64 .pod.probes.readinessPeriodSeconds }}
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{/*
Two Services: one address for who balances elsewhere, and a headless one that names every ready replica, for our own
clients, which balance themselves. Argument: {root, tier}.
*/}}
{{- define "triptych.tier.services" -}}
{{- $root := .root -}}
{{- $pod := include "triptych.tier" . | fromYaml -}}
{{- $ids := dict "root" $root "component" .tier -}}
{{- $name := printf "%s-%s" (include "triptych.fullname" $root) .tier -}}
{{- $plain := not (include "triptych.tier.answersTLS" .) -}}
apiVersion: v1
kind: Service
{{ include "triptych.metadata" (merge (dict "name" $name "annotations" $pod.service.annotations) $ids) }}
spec:
  type: {{ $pod.service.type }}
  selector:
    {{- include "triptych.selectorLabels" $ids | nindent 4 }}
  ports:
    {{- if eq .tier "gateway" }}
    - name: http
      port: 8080
      targetPort: http
      appProtocol: {{ $plain | ternary "http" "https" }}
    {{- end }}
    - name: grpc
      port: 8081
      targetPort: grpc
      {{- if $plain }}
      appProtocol: kubernetes.io/h2c
      {{- end }}
    {{- if include "triptych.isStage" .tier }}
    - name: link
      port: 8082
      targetPort: link
    {{- end }}
---
apiVersion: v1
kind: Service
{{ include "triptych.metadata" (merge (dict "name" (printf "%s-headless" $name)) $ids) }}
spec:
  type: ClusterIP
  clusterIP: None
  selector:
    {{- include "triptych.selectorLabels" $ids | nindent 4 }}
  ports:
    {{- if eq .tier "gateway" }}
    - {name: http, port: 8080, targetPort: http}
    {{- end }}
    - {name: grpc, port: 8081, targetPort: grpc}
    {{- if include "triptych.isStage" .tier }}
    - {name: link, port: 8082, targetPort: link}
    {{- end }}
    - {name: metrics, port: 9464, targetPort: metrics}
{{- end -}}
