{{/* Spec of the Job that builds a pool's plans. Argument: {root, pool}. */}}
{{- define "triptych.engines.job" -}}
{{- $root := .root -}}
{{- $pool := .pool -}}
{{- $ids := dict "root" $root "component" "engine" "pod" $pool -}}
{{- $unspread := mergeOverwrite (deepCopy $pool) (dict "topologySpread" (dict "host" "" "zone" "")) -}}
backoffLimit: {{ int64 $pool.engine.job.backoffLimit }}
activeDeadlineSeconds: {{ int64 $pool.engine.job.activeDeadlineSeconds }}
template:
  metadata:
    labels:
      {{- include "triptych.selectorLabels" $ids | nindent 6 }}
      {{- include "triptych.pool.labels" $pool | nindent 6 }}
  spec:
    {{- include "triptych.podSecurity" (dict "root" $root "user" $pool.user) | nindent 4 }}
    {{- with include "triptych.scheduling" (dict "root" $root "pod" $unspread "nodeSelector" (include "triptych.pool.nodeSelector" $pool | fromYaml)) | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with include "triptych.pool.claims" . | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    restartPolicy: Never
    {{- with include "triptych.models.init" $root | trim }}
    initContainers:
      {{- . | nindent 6 }}
    {{- end }}
    containers:
      {{- include "triptych.pool.builder" . | nindent 6 }}
    volumes:
      - name: tmp
        emptyDir:
          sizeLimit: {{ $pool.tmpSizeLimit }}
      - name: scripts
        configMap:
          name: {{ include "triptych.fullname" $root }}-scripts
      {{- include "triptych.models.volume" $root | nindent 6 }}
      {{- include "triptych.engines.volume" $root | nindent 6 }}
{{- end -}}
