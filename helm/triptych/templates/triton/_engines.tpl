{{/*
What a pool of GPUs serves. Its init container lays the repository out: TensorRT plans where there are any, else the
ONNX files. A Job builds the plans, once for each pool and for everything that they depend on.
*/}}

{{- define "triptych.pool.checksums" -}}
{{- if eq .pool.backend "gpu" -}}
checksum/scripts: {{ include "triptych.scripts" .root | sha256sum }}
{{- end -}}
{{- end -}}

{{/* Scripts, as the data of their ConfigMap. Argument: root. */}}
{{- define "triptych.scripts" -}}
{{- range $path, $_ := .Files.Glob "files/scripts/*.sh" }}
{{ base $path }}: |
  {{- $.Files.Get $path | trim | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Whether the pool has plans. Argument: pool. */}}
{{- define "triptych.pool.plans" -}}
{{- if and (eq .backend "gpu") (eq .engine.kind "tensorrt") }}true{{ end -}}
{{- end -}}

{{/* How long a Pod may take until it has its plans, in seconds. Argument: pool. */}}
{{- define "triptych.pool.plansSeconds" -}}
{{- if include "triptych.pool.plans" . -}}
{{- add (int64 .engine.waitSeconds) (eq .engine.build "init" | ternary (int64 .engine.job.activeDeadlineSeconds) 0) -}}
{{- end -}}
{{- end -}}

{{/*
Words for the scripts: model, version, file, sha256 and key of each engine. The key is a hash of what a plan depends on:
the ONNX file, the GPU, the image with its TensorRT, and the flags. The scripts add the largest batch, which only the
model store knows. Argument: {root, pool}.
*/}}
{{- define "triptych.pool.engines" -}}
{{- $image := include "triptych.image" (dict "root" .root "image" .pool.image) -}}
{{- $hardware := join " " (list .pool.gpu.product .pool.gpu.resourceName (join "," .pool.gpu.dra.selectors)) -}}
{{- $flags := join " " .pool.engine.flags -}}
{{- range .pool.engine.models }}
- {{ .name | quote }}
- {{ .version | quote }}
- {{ .file | quote }}
- {{ .sha256 | quote }}
- {{ join "\n" (list .name .version .sha256 $image $hardware $flags) | sha256sum | trunc 32 | quote }}
{{- end }}
{{- end -}}

{{/* Init containers that lay the repository out, and where no Job does, build what it wants. Argument: {root, pool}. */}}
{{- define "triptych.pool.layOut" -}}
{{- if eq .pool.backend "gpu" }}
{{- $plans := include "triptych.pool.plans" .pool }}
{{- if and $plans (eq .pool.engine.build "init") }}
{{ include "triptych.pool.builder" . }}
{{- end }}
- name: lay-out
  {{- include "triptych.imageFields" (dict "root" .root "image" .pool.image) | nindent 2 }}
  {{- include "triptych.containerSecurity" . | nindent 2 }}
  command: [bash, /scripts/lay-out-repository.sh]
  args:
    - {{ .pool.engine.kind }}
    - {{ .pool.engine.fallback }}
    - {{ int64 .pool.engine.waitSeconds | quote }}
    - /store
    - /engines
    - /repository
    {{- include "triptych.pool.engines" . | trim | nindent 4 }}
  resources:
    {{- toYaml .root.Values.modelStore.resources | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: scripts, mountPath: /scripts, readOnly: true}
    - {name: repository, mountPath: /repository}
    {{- include "triptych.pool.sources" . | nindent 4 }}
{{- end }}
{{- end -}}

{{/* Container that builds the plans, on a GPU of the pool. Argument: {root, pool}. */}}
{{- define "triptych.pool.builder" -}}
- name: build-engines
  {{- include "triptych.imageFields" (dict "root" .root "image" .pool.image) | nindent 2 }}
  {{- include "triptych.containerSecurity" . | nindent 2 }}
  command: [bash, /scripts/build-engines.sh]
  args:
    - /store
    - /engines
    {{- include "triptych.pool.engines" . | trim | nindent 4 }}
  env:
    - {name: HOME, value: /tmp}
    - {name: LONGEST_S, value: {{ int64 .pool.engine.job.activeDeadlineSeconds | quote }}}
    - {name: TRTEXEC_FLAGS, value: {{ join " " .pool.engine.flags | quote }}}
    {{- with .pool.engine.trtexec }}
    - {name: TRTEXEC, value: {{ . | quote }}}
    {{- end }}
  resources:
    {{- include "triptych.pool.resources" .pool | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: scripts, mountPath: /scripts, readOnly: true}
    {{- include "triptych.models.mount" .root | replace "mountPath: /models" "mountPath: /store" | nindent 4 }}
    {{- include "triptych.engines.mount" (dict "root" .root "readOnly" false) | nindent 4 }}
{{- end -}}

{{/* Mounts of what the repository consists of; it holds links to them. Argument: {root, pool}. */}}
{{- define "triptych.pool.sources" -}}
{{- include "triptych.models.mount" .root | replace "mountPath: /models" "mountPath: /store" }}
{{- if include "triptych.pool.plans" .pool }}
{{ include "triptych.engines.mount" (dict "root" .root "readOnly" true) }}
{{- end }}
{{- end -}}

{{/* Argument: {root, pool}. */}}
{{- define "triptych.pool.volumes" -}}
- name: repository
  emptyDir:
    sizeLimit: 64Mi
- name: scripts
  configMap:
    name: {{ include "triptych.fullname" .root }}-scripts
{{- if include "triptych.pool.plans" .pool }}
{{ include "triptych.engines.volume" .root }}
{{- end }}
{{- end -}}

{{- define "triptych.engines.claim" -}}
{{- default (printf "%s-engines" (include "triptych.fullname" .)) .Values.engineStore.existingClaim -}}
{{- end -}}

{{- define "triptych.engines.volume" -}}
- name: engines
  persistentVolumeClaim:
    claimName: {{ include "triptych.engines.claim" . }}
{{- end -}}

{{/* Argument: {root, readOnly}. */}}
{{- define "triptych.engines.mount" -}}
- name: engines
  mountPath: /engines
  {{- with .root.Values.engineStore.subPath }}
  subPath: {{ . }}
  {{- end }}
  {{- if .readOnly }}
  readOnly: true
  {{- end }}
{{- end -}}
