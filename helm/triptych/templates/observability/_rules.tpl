{{/*
The gauge of versions that answer, of those that a pool lays out: a pool on GPUs serves only what `engine.models` lists,
and of the rest nobody is to be told that it is missing. Argument: the root.
*/}}
{{- define "triptych.versionsReady" -}}
{{- $gauge := `triptych_model_version_ready{namespace=~".*"` -}}
{{- $all := false -}}
{{- $selectors := list -}}
{{- range .Values.triton.pools -}}
{{- $pool := include "triptych.pool" (dict "root" $ "pool" .) | fromYaml -}}
{{- if eq .backend "cpu" }}{{ $all = true }}{{ end -}}
{{- range $pool.engine.models | default list -}}
{{- $selectors = append $selectors (printf "%s,model=%q,version=%q}" $gauge .name .version) -}}
{{- end -}}
{{- end -}}
{{- if $all }}{{ $gauge }}}{{ else }}{{ $selectors | uniq | join " or " }}{{ end -}}
{{- end -}}

{{/* Whether no server of a pool has a model loaded, for each pool: others may go on without it. Argument: the root. */}}
{{- define "triptych.poolsAway" -}}
{{- $away := list -}}
{{- range .Values.triton.pools -}}
{{- $pods := printf "%s-[^-]+-[^-]+" (include "triptych.pool.name" (dict "root" $ "pool" .)) -}}
{{- $away = append $away (printf `label_replace(absent(nv_inference_count{namespace=~".*",pod=~%q}), "pool", %q, "", "")` $pods .name) -}}
{{- end -}}
{{- join " or " $away -}}
{{- end -}}

{{/*
Groups of a file of Prometheus' own format; what is in braces there is Prometheus' to fill in, so it is no template.
Every rule reads the release's own namespace: two releases would record and tell everything twice. Argument: {root, path}.
*/}}
{{- define "triptych.ruleGroups" -}}
{{- $runbook := .root.Values.monitoring.prometheusRule.runbookURL | default "docs/runbook.md" -}}
{{- $ready := printf "(%s) == 0" (include "triptych.versionsReady" .root) -}}
{{- $text := .root.Files.Get .path | replace "docs/runbook.md" $runbook -}}
{{- $text = $text | replace `(triptych_model_version_ready{namespace=~".*"}) == 0` $ready -}}
{{- $text = $text | replace `absent(nv_inference_count{namespace=~".*"})` (include "triptych.poolsAway" .root) -}}
{{- $text = $text | replace `namespace=~".*"` (printf "namespace=%q" .root.Release.Namespace) -}}
{{- ($text | fromYaml).groups | toYaml -}}
{{- end -}}
