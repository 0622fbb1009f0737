{{- define "triptych.checks.training" -}}
{{- $training := .Values.training -}}
{{- if $training.enabled -}}
{{- if eq (empty $training.recipe) (empty $training.existingConfigMap) -}}
{{- fail "\n\ntraining.enabled needs training.recipe or training.existingConfigMap, and not both.\n" -}}
{{- end -}}
{{- range $key := list "datasets" "runs" -}}
{{- $place := index $training $key -}}
{{- if not (or $place.existingClaim $place.create) -}}
{{- fail (printf "\n\ntraining.enabled needs training.%s.existingClaim, or training.%s.create.\n" $key $key) -}}
{{- end -}}
{{- if and $place.create (gt (int64 $training.workers) 1) (not (has "ReadWriteMany" $place.accessModes)) -}}
{{- fail (printf "\n\ntraining.workers is %d, and workers on several nodes share their volumes: training.%s.accessModes needs ReadWriteMany.\n" (int64 $training.workers) $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
