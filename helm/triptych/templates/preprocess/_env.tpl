{{- define "triptych.preprocess.env" -}}{{- end -}}
