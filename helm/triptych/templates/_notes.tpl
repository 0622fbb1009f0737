{{/* Sentences of NOTES.txt that depend on values. */}}

{{/* Command that lists the Jobs which build plans, where there are any. Argument: root. */}}
{{- define "triptych.notes.jobs" -}}
{{- $jobs := false -}}
{{- range .Values.triton.pools -}}
{{- $pool := include "triptych.pool" (dict "root" $ "pool" .) | fromYaml -}}
{{- if and (include "triptych.pool.plans" $pool) (eq $pool.engine.build "job") }}{{ $jobs = true }}{{ end -}}
{{- end -}}
{{- if $jobs -}}
kubectl --namespace {{ .Release.Namespace }} get jobs --selector app.kubernetes.io/instance={{ .Release.Name }},app.kubernetes.io/component=engine
{{- end -}}
{{- end -}}

{{/* A line for each name at which a route or the Ingress takes calls. Argument: root. */}}
{{- define "triptych.notes.addresses" -}}
{{- $api := .Values.gatewayApi -}}
{{- if $api.httpRoute.enabled -}}
{{- range $api.httpRoute.hostnames | default (list "any name that leads to the Gateway") }}
HTTP, through the Gateway: {{ . }}{{ first $api.httpRoute.paths }}
{{- end -}}
{{- end -}}
{{- if $api.grpcRoute.enabled -}}
{{- range $api.grpcRoute.hostnames | default (list "any name that leads to the Gateway") }}
gRPC, through the Gateway: {{ . }}
{{- end -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- range .Values.ingress.hosts }}
HTTP, through the Ingress: {{ $.Values.ingress.tls | empty | ternary "http" "https" }}://{{ . }}{{ first $.Values.ingress.paths }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How experiments are begun, and what would be lost with a Pod. Argument: root. */}}
{{- define "triptych.notes.experiments" -}}
{{- with .Values.experiments -}}
{{- if .enabled -}}
{{- if .admin -}}
Whoever reaches the gateway may start, change and stop experiments: experiments.admin is true.
{{- else -}}
Callers of the gateway read experiments and give feedback. Who may forward a port of the service itself can also change
them (with tls.enabled, it takes the gateway's certificate, too):

  kubectl --namespace {{ $.Release.Namespace }} port-forward service/{{ include "triptych.fullname" $ }}-experiments 8082:8081 &
  triptych experiment list --server localhost:8082
{{- end }}
{{- if not .persistence.enabled }}

WARNING: {{ .database.existingSecret | empty | ternary "experiments, predictions and feedback" "feedback that has not yet come to the database" }} will be gone with the Pod: experiments.persistence.enabled is false.
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Who gets to the gateway without being asked. Argument: root. */}}
{{- define "triptych.notes.reach" -}}
{{- if not .Values.networkPolicy.enabled -}}
Everybody who reaches a Pod of the gateway is answered: networkPolicy.enabled is false.
{{- else if .Values.networkPolicy.gatewayPeers -}}
Whoever networkPolicy.gatewayPeers lets through is answered, so let what stands there ask.
{{- else -}}
Every Pod and every network that reaches the gateway is answered: networkPolicy.gatewayPeers says who may.
{{- end }} edgeTLS.clientCASecret asks for client certificates.
{{- end -}}
