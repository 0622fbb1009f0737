{{/* What every Pod has in common: who it runs as, where it is put, and how it leaves. */}}

{{/* Security of a Pod, as the Pod Security Standard "restricted" wants it. Argument: {root, pod} with `pod.user`. */}}
{{- define "triptych.podSecurity" -}}
automountServiceAccountToken: false
# Variables named after Services could be taken for settings: a Service `triptych` would make a TRIPTYCH_PORT.
enableServiceLinks: false
serviceAccountName: {{ include "triptych.serviceAccountName" .root }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with .user }}
  runAsUser: {{ int64 . }}
  runAsGroup: {{ int64 . }}
  fsGroup: {{ int64 . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* Security of a container. */}}
{{- define "triptych.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* Where a Pod is put. Argument: {root, pod, component, selector}. */}}
{{- define "triptych.scheduling" -}}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .pod.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .nodeSelector | default .pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $spread := list -}}
{{- range $key, $when := dict "kubernetes.io/hostname" .pod.topologySpread.host "topology.kubernetes.io/zone" .pod.topologySpread.zone -}}
{{- if $when -}}
{{- $spread = append $spread (dict "topologyKey" $key "whenUnsatisfiable" $when) -}}
{{- end -}}
{{- end -}}
{{- if $spread }}
topologySpreadConstraints:
  {{- range $spread }}
  - topologyKey: {{ .topologyKey }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    maxSkew: 1
    # Nodes that this Pod may not be put on do not count, nor do Pods of the version that is being replaced.
    nodeTaintsPolicy: Honor
    matchLabelKeys: [{{ eq $.component "experiments" | ternary "controller-revision-hash" "pod-template-hash" }}]
    labelSelector:
      matchLabels:
        {{- $.selector | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/*
Seconds that a Pod has to leave. It sleeps until nobody is led to it any more, says that it is not ready and waits, ends
what it accepted, and has a margin. Argument: {path, lifecycle}; `path` names the values in the message.
*/}}
{{- define "triptych.grace" -}}
{{- $l := .lifecycle -}}
{{- $least := add (addf $l.preStopSeconds $l.drainDelaySeconds $l.drainTimeoutSeconds | ceil | int64) $l.marginSeconds | int64 -}}
{{- $grace := kindIs "invalid" $l.terminationGracePeriodSeconds | ternary $least (int64 (default 0 $l.terminationGracePeriodSeconds)) -}}
{{- if lt $grace $least -}}
{{- fail (printf "\n\n%s.lifecycle.terminationGracePeriodSeconds is %d, but leaving takes up to preStopSeconds (%v) + drainDelaySeconds (%v) + drainTimeoutSeconds (%v) + marginSeconds (%v) = %d s: Kubernetes would kill it with requests in work. Raise the period, shorten the parts, or leave it out to have it computed.\n" .path $grace $l.preStopSeconds $l.drainDelaySeconds $l.drainTimeoutSeconds $l.marginSeconds $least) -}}
{{- end -}}
{{- $grace -}}
{{- end -}}

{{/* Sleeps before SIGTERM, so that no client still comes when it arrives. Argument: lifecycle. */}}
{{- define "triptych.preStop" -}}
{{- if .preStopSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ int64 .preStopSeconds }}
{{- end }}
{{- end -}}

{{/* Replicas that certainly run, for the PodDisruptionBudget. Argument: pod. */}}
{{- define "triptych.leastReplicas" -}}
{{- eq .autoscaling.type "none" | ternary .replicas .autoscaling.minReplicas | int64 -}}
{{- end -}}

{{/* Annotations and labels of a Pod. Argument: {root, component, pod}; optionally labels and checksums. */}}
{{- define "triptych.podMetadata" -}}
metadata:
  labels:
    {{- include "triptych.labels" . | nindent 4 }}
    {{- with merge (default dict .labels) .pod.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (default dict .checksums) .pod.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
