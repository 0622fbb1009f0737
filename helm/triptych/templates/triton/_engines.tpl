{{/* What a pool of GPUs serves: the models of the store, laid out for its GPU. */}}

{{- define "triptych.pool.checksums" -}}
{{- if eq .pool.backend "gpu" -}}
checksum/scripts: {{ include "triptych.scripts" .root | sha256sum }}
{{- end -}}
{{- end -}}

{{/* Scripts, as the data of their ConfigMap. Argument: root. */}}
{{- define "triptych.scripts" -}}
{{- range $path, $_ := .Files.Glob "files/scripts/*.sh" }}
{{ base $path }}: |
  {{- $.Files.Get $path | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Init container that lays the repository out. Argument: {root, pool}. */}}
{{- define "triptych.pool.layOut" -}}
{{- if eq .pool.backend "gpu" }}
- name: lay-out
  {{- include "triptych.imageFields" (dict "root" .root "image" .pool.image) | nindent 2 }}
  {{- include "triptych.containerSecurity" . | nindent 2 }}
  command: [bash, /scripts/lay-out-repository.sh, /store, /engines, /repository]
  args:
    {{- toYaml .root.Values.triton.models | nindent 4 }}
  resources:
    {{- toYaml .root.Values.modelStore.resources | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: scripts, mountPath: /scripts, readOnly: true}
    - {name: repository, mountPath: /repository}
    {{- include "triptych.pool.sources" . | nindent 4 }}
{{- end }}
{{- end -}}

{{/* Mounts of what the repository consists of; it holds links to them. */}}
{{- define "triptych.pool.sources" -}}
{{- include "triptych.models.mount" .root | replace "mountPath: /models" "mountPath: /store" }}
{{- end -}}

{{- define "triptych.pool.volumes" -}}
- name: repository
  emptyDir:
    sizeLimit: 64Mi
- name: scripts
  configMap:
    name: {{ include "triptych.fullname" .root }}-scripts
{{- end -}}
