{{/* How many replicas there are, and how many of them may go at once. */}}

{{/* HorizontalPodAutoscaler or ScaledObject, never both. Argument: {root, component, name, pod, triggers}. */}}
{{- define "triptych.autoscaler" -}}
{{- if eq .pod.autoscaling.type "hpa" -}}
{{- include "triptych.hpa" . -}}
{{- else if eq .pod.autoscaling.type "keda" -}}
{{- include "triptych.scaledObject" . -}}
{{- end -}}
{{- end -}}

{{- define "triptych.hpa" -}}
{{- $scaling := .pod.autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
{{ include "triptych.metadata" . }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ .name }}
  minReplicas: {{ int64 $scaling.minReplicas }}
  maxReplicas: {{ int64 $scaling.maxReplicas }}
  metrics:
    {{- if $scaling.metrics }}
    {{- toYaml $scaling.metrics | nindent 4 }}
    {{- else }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ int64 $scaling.targetCPUUtilizationPercentage }}
    {{- end }}
  behavior:
    {{- toYaml $scaling.behavior | nindent 4 }}
{{- end -}}

{{- define "triptych.scaledObject" -}}
{{- $scaling := .pod.autoscaling -}}
{{- $triggers := default .triggers $scaling.keda.triggers -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
{{ include "triptych.metadata" . }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ .name }}
  minReplicaCount: {{ int64 $scaling.minReplicas }}
  maxReplicaCount: {{ int64 $scaling.maxReplicas }}
  pollingInterval: {{ int64 $scaling.keda.pollingInterval }}
  cooldownPeriod: {{ int64 $scaling.keda.cooldownPeriod }}
  {{- $external := list }}
  {{- range $triggers }}{{ if not (has .type (list "cpu" "memory")) }}{{ $external = append $external .type }}{{ end }}{{ end }}
  {{- if $external }}
  # What runs when Prometheus is away.
  fallback:
    failureThreshold: {{ int64 $scaling.keda.fallback.failureThreshold }}
    replicas: {{ default $scaling.minReplicas $scaling.keda.fallback.replicas | int64 }}
    behavior: {{ $scaling.keda.fallback.behavior }}
  {{- end }}
  advanced:
    horizontalPodAutoscalerConfig:
      name: {{ .name }}
      behavior:
        {{- toYaml $scaling.behavior | nindent 8 }}
  triggers:
    {{- toYaml $triggers | nindent 4 }}
{{- end -}}

{{/* A trigger that asks Prometheus. Its value is shared out over the replicas. Argument: {root, query, threshold}. */}}
{{- define "triptych.prometheusTrigger" -}}
{{- $prometheus := .root.Values.prometheus -}}
- type: prometheus
  metricType: AverageValue
  metadata:
    serverAddress: {{ $prometheus.serverAddress | quote }}
    query: {{ .query | quote }}
    threshold: {{ .threshold | toJson | quote }}
    # Nothing found is an error, which the fallback answers, and not a load of zero.
    ignoreNullValues: "false"
  {{- with $prometheus.authenticationRef }}
  authenticationRef:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "triptych.cpuTrigger" -}}
- type: cpu
  metricType: Utilization
  metadata:
    value: {{ int64 .autoscaling.targetCPUUtilizationPercentage | quote }}
{{- end -}}

{{/* Argument: {root, component, name, pod}; optionally selector. One replica has none: it could never be drained. */}}
{{- define "triptych.pdb" -}}
{{- if and .pod.podDisruptionBudget.enabled (gt (include "triptych.leastReplicas" .pod | int64) 1) -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
{{ include "triptych.metadata" . }}
spec:
  maxUnavailable: {{ .pod.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "triptych.selectorLabels" . | nindent 6 }}
      {{- with .selector }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end -}}
{{- end -}}

{{/* Argument: {root, tier}. */}}
{{- define "triptych.tier.scaling" -}}
{{- $pod := include "triptych.tier" . | fromYaml -}}
{{- $name := printf "%s-%s" (include "triptych.fullname" .root) .tier -}}
{{- $ids := dict "root" .root "component" .tier "name" $name "pod" $pod -}}
{{- $triggers := include "triptych.cpuTrigger" $pod -}}
{{- if eq .tier "gateway" -}}
{{- $pods := printf "namespace=%q,pod=~%q" .root.Release.Namespace (printf "%s-.+" $name) -}}
{{- $query := printf "sum(triptych_in_flight_images{%s}) / max(triptych_in_flight_images_limit{%s})" $pods $pods -}}
{{- $limiter := include "triptych.prometheusTrigger" (dict "root" .root "query" $query "threshold" $pod.autoscaling.keda.targetUtilization) -}}
{{- $triggers = printf "%s\n%s" $limiter $triggers -}}
{{- end -}}
{{- $_ := set $ids "triggers" (fromYamlArray $triggers) -}}
{{- range list "triptych.autoscaler" "triptych.pdb" }}
{{- with include . $ids }}
---
{{ . }}
{{- end }}
{{- end }}
{{- end -}}
