{{/* Claim of a volume. Argument: {root, key} with the key datasets or runs. */}}
{{- define "triptych.training.claim" -}}
{{- default (printf "%s-%s" (include "triptych.training.name" .root) .key) (index .root.Values.training .key).existingClaim -}}
{{- end -}}

{{/* Volumes of every Pod that has to do with training. Argument: root. */}}
{{- define "triptych.training.volumes" -}}
{{- range $key := list "datasets" "runs" }}
- name: {{ $key }}
  persistentVolumeClaim:
    claimName: {{ include "triptych.training.claim" (dict "root" $ "key" $key) }}
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.training.tmpSizeLimit }}
{{- end -}}

{{/* Mounts of them; `readOnly` says whether data sets are only read. Argument: {root, readOnly}. */}}
{{- define "triptych.training.mounts" -}}
{{- $training := .root.Values.training -}}
- name: datasets
  mountPath: /datasets
  {{- with $training.datasets.subPath }}
  subPath: {{ . }}
  {{- end }}
  {{- if .readOnly }}
  readOnly: true
  {{- end }}
- name: runs
  mountPath: /runs
  {{- with $training.runs.subPath }}
  subPath: {{ . }}
  {{- end }}
- name: tmp
  mountPath: /tmp
{{- end -}}
