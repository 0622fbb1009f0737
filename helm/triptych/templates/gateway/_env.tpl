{{/* Where the services are: names of all their replicas, which the gateway balances itself. */}}
{{- define "triptych.gateway.env" -}}
- {name: TRIPTYCH_HTTP_PORT, value: "8080"}
{{- range list "preprocess" "inference" "postprocess" }}
- name: TRIPTYCH_{{ upper . }}_TARGET
  value: link:///{{ include "triptych.fullname" $ }}-{{ . }}-headless:8082
{{- end }}
{{- end -}}
