{{/* Where the services are: names of all their replicas, which the gateway balances itself. */}}
{{- define "triptych.gateway.env" -}}
- {name: TRIPTYCH_HTTP_PORT, value: "8080"}
{{- range list "preprocess" "inference" "postprocess" }}
- name: TRIPTYCH_{{ upper . }}_TARGET
  value: link:///{{ include "triptych.fullname" $ }}-{{ . }}-headless:8082
{{- end }}
{{- with .Values.experiments }}
{{- if .enabled }}
- name: TRIPTYCH_EXPERIMENTS_TARGET
  value: dns:///{{ include "triptych.fullname" $ }}-experiments-headless:8081
- {name: TRIPTYCH_EXPERIMENTS_ADMIN, value: {{ .admin | quote }}}
{{- end }}
{{- end }}
{{- end -}}
