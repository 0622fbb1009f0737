{{/* Where the Triton servers are: a name for each pool, whose addresses the service follows. */}}
{{- define "triptych.inference.env" -}}
{{- $targets := list -}}
{{- range .Values.triton.pools -}}
{{- $targets = append $targets (printf "dns:///%s-triton-%s-headless:8001" (include "triptych.fullname" $) .name) -}}
{{- end -}}
- name: TRIPTYCH_TRITON_TARGETS
  value: {{ join "," $targets | quote }}
{{- end -}}
