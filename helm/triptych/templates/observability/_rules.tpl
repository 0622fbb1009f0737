{{/*
The gauge of versions that answer, of those that a pool lays out: a pool on GPUs serves only what `engine.models` lists,
and of the rest nobody is to be told that it is missing. Argument: the root.
*/}}
{{- define "triptych.versionsReady" -}}
{{- $gauge := "triptych_model_version_ready" -}}
{{- $all := false -}}
{{- $selectors := list -}}
{{- range .Values.triton.pools -}}
{{- $pool := include "triptych.pool" (dict "root" $ "pool" .) | fromYaml -}}
{{- if eq .backend "cpu" }}{{ $all = true }}{{ end -}}
{{- range $pool.engine.models | default list -}}
{{- $selectors = append $selectors (printf "%s{model=%q,version=%q}" $gauge .name .version) -}}
{{- end -}}
{{- end -}}
{{- if $all }}{{ $gauge }}{{ else }}{{ $selectors | uniq | join " or " }}{{ end -}}
{{- end -}}

{{/*
Groups of a file of Prometheus' own format; what is in braces there is Prometheus' to fill in, so it is no template.
Argument: {root, path}.
*/}}
{{- define "triptych.ruleGroups" -}}
{{- $runbook := .root.Values.monitoring.prometheusRule.runbookURL | default "docs/runbook.md" -}}
{{- $ready := printf "(%s) == 0" (include "triptych.versionsReady" .root) -}}
{{- $text := .root.Files.Get .path | replace "docs/runbook.md" $runbook | replace "(triptych_model_version_ready) == 0" $ready -}}
{{- ($text | fromYaml).groups | toYaml -}}
{{- end -}}
