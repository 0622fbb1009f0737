{{/* Certificates, as files that their followers read again when they change. */}}

{{/* Secret of a component's certificate for calls between our processes. Argument: {root, component}. */}}
{{- define "triptych.tls.secretName" -}}
{{- $own := printf "%s-%s-tls" (include "triptych.fullname" .root) .component -}}
{{- eq .root.Values.tls.source "certManager" | ternary $own (default .root.Values.tls.existingSecret (get .root.Values.tls.existingSecrets .component)) -}}
{{- end -}}

{{- define "triptych.edgeTLS.secretName" -}}
{{- default (printf "%s-edge-tls" (include "triptych.fullname" .)) .Values.edgeTLS.existingSecret -}}
{{- end -}}

{{/* Argument: {root, component}. */}}
{{- define "triptych.tls.env" -}}
{{- if .root.Values.tls.enabled }}
- {name: TRIPTYCH_TLS_CERT_FILE, value: /etc/triptych/tls/tls.crt}
- {name: TRIPTYCH_TLS_KEY_FILE, value: /etc/triptych/tls/tls.key}
- {name: TRIPTYCH_TLS_CA_FILE, value: /etc/triptych/tls/ca.crt}
{{- $made := eq .root.Values.tls.source "certManager" | ternary (list (printf "%s-gateway" (include "triptych.fullname" .root))) list }}
{{- $callers := default $made .root.Values.tls.allowedCallers }}
{{- if and $callers (ne .component "gateway") }}
- {name: TRIPTYCH_TLS_ALLOWED_CALLERS, value: {{ join "," $callers | quote }}}
{{- end }}
{{- end }}
{{- if and (eq .component "gateway") .root.Values.edgeTLS.enabled }}
- {name: TRIPTYCH_EDGE_TLS_CERT_FILE, value: /etc/triptych/edge-tls/tls.crt}
- {name: TRIPTYCH_EDGE_TLS_KEY_FILE, value: /etc/triptych/edge-tls/tls.key}
{{- if .root.Values.edgeTLS.clientCASecret }}
- {name: TRIPTYCH_EDGE_TLS_CLIENT_CA_FILE, value: /etc/triptych/edge-client-ca/ca.crt}
{{- end }}
{{- end }}
{{- end -}}

{{/* Folders, not single files: those would not follow the Secret. Argument: {root, component}. */}}
{{- define "triptych.tls.mounts" -}}
{{- range include "triptych.tls.secrets" . | fromYamlArray }}
- name: {{ .volume }}
  mountPath: /etc/triptych/{{ .volume }}
  readOnly: true
{{- end }}
{{- end -}}

{{/* Argument: {root, component}. */}}
{{- define "triptych.tls.volumes" -}}
{{- range include "triptych.tls.secrets" . | fromYamlArray }}
- name: {{ .volume }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- end -}}

{{- define "triptych.tls.secrets" -}}
{{- $secrets := list -}}
{{- if .root.Values.tls.enabled -}}
{{- $secrets = append $secrets (dict "volume" "tls" "secret" (include "triptych.tls.secretName" .)) -}}
{{- end -}}
{{- if and (eq .component "gateway") .root.Values.edgeTLS.enabled -}}
{{- $secrets = append $secrets (dict "volume" "edge-tls" "secret" (include "triptych.edgeTLS.secretName" .root)) -}}
{{- with .root.Values.edgeTLS.clientCASecret -}}
{{- $secrets = append $secrets (dict "volume" "edge-client-ca" "secret" . "items" (list (dict "key" "ca.crt" "path" "ca.crt"))) -}}
{{- end -}}
{{- end -}}
{{- toYaml $secrets -}}
{{- end -}}

{{/* Names that a component is called by, as its clients write them. Argument: {root, component}. */}}
{{- define "triptych.tls.names" -}}
{{- $name := include "triptych.fullname" .root -}}
{{- $services := list (printf "%s-%s" $name .component) -}}
{{- if eq .component "triton" -}}
{{- $services = list -}}
{{- range .root.Values.triton.pools -}}
{{- $services = append $services (printf "%s-triton-%s" $name .name) -}}
{{- end -}}
{{- end -}}
{{- $namespace := .root.Release.Namespace -}}
{{- range $service := $services }}
{{- range $suffix := list "" "-headless" }}
{{- range $domain := list "" (printf ".%s" $namespace) (printf ".%s.svc" $namespace) (printf ".%s.svc.%s" $namespace $.root.Values.clusterDomain) }}
- {{ $service }}{{ $suffix }}{{ $domain }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
