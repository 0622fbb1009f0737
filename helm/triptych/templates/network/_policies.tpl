{{/* Peers: Pods of this release. Argument: {root, components}. */}}
{{- define "triptych.network.pods" -}}
- podSelector:
    matchLabels:
      {{- include "triptych.selectorLabels" (dict "root" .root) | nindent 6 }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}
{{- end -}}

{{/* Ingress: who reads metrics. An empty `from` would let everybody in. Argument: {root, port}. */}}
{{- define "triptych.network.metrics" -}}
{{- with .root.Values.networkPolicy.monitoringPeers -}}
- ports:
    - {port: {{ $.port }}, protocol: TCP}
  from:
    {{- toYaml . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* Egress: names. Argument: root. */}}
{{- define "triptych.network.dns" -}}
- ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - {port: {{ int64 . }}, protocol: UDP}
    - {port: {{ int64 . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.dns.peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "triptych.network.toTriton" -}}
- ports:
    - {port: 8001, protocol: TCP}
  to:
    {{- include "triptych.network.pods" (dict "root" . "components" (list "triton")) | nindent 4 }}
{{- end -}}

{{/* Egress: the collector of traces. Argument: root. */}}
{{- define "triptych.network.otlp" -}}
{{- with .Values.tracing.otlpEndpoint -}}
{{- include "triptych.network.toURL" (dict "url" . "peers" $.Values.networkPolicy.otlpPeers) -}}
{{- end -}}
{{- end -}}

{{/* Egress: the S3 store, for the container that copies. Argument: root. */}}
{{- define "triptych.network.s3" -}}
{{- if eq .Values.modelStore.type "s3" -}}
{{- $url := default "https://s3" .Values.modelStore.s3.endpointUrl -}}
{{- include "triptych.network.toURL" (dict "url" $url "peers" .Values.networkPolicy.s3Peers) -}}
{{- end -}}
{{- end -}}

{{/* Egress: the database of the experiments service, where it has one of its own. Argument: root. */}}
{{- define "triptych.network.database" -}}
{{- with .Values.experiments.database -}}
{{- if .existingSecret -}}
- ports:
    - {port: {{ int64 .port }}, protocol: TCP}
  {{- with $.Values.networkPolicy.databasePeers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Egress: the port of an address. Argument: {url, peers}. */}}
{{- define "triptych.network.toURL" -}}
{{- $url := urlParse .url -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "https" | ternary "443" "80") -}}
- ports:
    - {port: {{ $port }}, protocol: TCP}
  {{- with .peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Egress to what is not of this release, with the names it takes to find it. Argument: {root, store, database, dns}. */}}
{{- define "triptych.network.outside" -}}
{{- $rules := list (include "triptych.network.otlp" .root) -}}
{{- if .store }}{{ $rules = append $rules (include "triptych.network.s3" .root) }}{{ end -}}
{{- if .database }}{{ $rules = append $rules (include "triptych.network.database" .root) }}{{ end -}}
{{- $rules = compact $rules -}}
{{- if or $rules .dns -}}
{{- join "\n" (append $rules (include "triptych.network.dns" .root)) -}}
{{- end -}}
{{- end -}}
