{{- define "triptych.postprocess.env" -}}{{- end -}}
