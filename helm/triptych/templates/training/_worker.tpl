{{/* What a worker runs after torchrun; Kubernetes itself gives it its index. Argument: {root, name}. */}}
{{- define "triptych.training.args" -}}
{{- $training := .root.Values.training -}}
- --nnodes={{ int64 $training.workers }}
- --nproc-per-node={{ int64 (default $training.processes $training.gpu.count) }}
- --node-rank=$(JOB_COMPLETION_INDEX)
- --master-addr={{ .name }}-0.{{ include "triptych.training.name" .root }}
- --master-port=29500
- --rdzv-conf=timeout={{ int64 $training.waitSeconds }}
- -m
- triptych.cli
- model
- train
- /recipes/recipe.yaml
# At the first start it begins anew, at every other it goes on from the checkpoint.
- --resume
- --datasets=/datasets
- --runs=/runs
- --pixels=/pixels
{{- if $training.gpu.count }}
- --set=device=cuda
{{- end }}
{{- range $training.set }}
- {{ printf "--set=%s" . | quote }}
{{- end }}
{{- end -}}

{{/* Argument: training. */}}
{{- define "triptych.training.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- with .gpu.count -}}
{{- $_ := set $resources "limits" (merge (dict $.gpu.resourceName (int64 .)) (default dict $resources.limits)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
