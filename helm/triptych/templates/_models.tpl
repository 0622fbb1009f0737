{{/*
Where the models come from, and whose signatures count. Every Pod that needs them mounts the volume `models` at /models,
read-only.
*/}}

{{/* Volume `models`. Argument: root. */}}
{{- define "triptych.models.volume" -}}
{{- $store := .Values.modelStore -}}
- name: models
  {{- if eq $store.type "imageVolume" }}
  image:
    reference: {{ include "triptych.image" (dict "root" . "image" $store.image) | quote }}
    pullPolicy: {{ .Values.global.imagePullPolicy }}
  {{- else if eq $store.type "pvc" }}
  persistentVolumeClaim:
    claimName: {{ $store.pvc.existingClaim }}
    readOnly: true
  {{- else if eq $store.type "hostPath" }}
  hostPath:
    path: {{ $store.hostPath.path }}
    type: Directory
  {{- else }}
  emptyDir:
    sizeLimit: {{ $store.sizeLimit }}
  {{- end }}
{{- if and (eq $store.type "s3") $store.s3.existingSecret }}
- name: s3-credentials
  secret:
    secretName: {{ $store.s3.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* Says whether signatures are asked for. Argument: root. */}}
{{- define "triptych.trustedKeys" -}}
{{- if or .Values.trustedKeys.existingConfigMap .Values.trustedKeys.existingSecret }}true{{ end -}}
{{- end -}}

{{/* Volume of the trusted keys. Argument: root. */}}
{{- define "triptych.trustedKeys.volume" -}}
{{- if include "triptych.trustedKeys" . }}
- name: trusted-keys
  {{- with .Values.trustedKeys.existingSecret }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
  {{- end }}
  {{- with .Values.trustedKeys.existingConfigMap }}
  configMap:
    name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A folder, not the single file: that would not follow the ConfigMap. Argument: root. */}}
{{- define "triptych.trustedKeys.mount" -}}
{{- if include "triptych.trustedKeys" . }}
- name: trusted-keys
  mountPath: /etc/triptych/trusted-keys
  readOnly: true
{{- end }}
{{- end -}}

{{/* Mount of it in a container that reads. Argument: root. */}}
{{- define "triptych.models.mount" -}}
- name: models
  mountPath: /models
  readOnly: true
  {{- if eq .Values.modelStore.type "pvc" }}
  {{- with .Values.modelStore.pvc.subPath }}
  subPath: {{ . }}
  {{- end }}
  {{- else if eq .Values.modelStore.type "imageVolume" }}
  subPath: models
  {{- end }}
{{- end -}}

{{/* Init container that fills it, where it does not come filled. Argument: root. */}}
{{- define "triptych.models.init" -}}
{{- $store := .Values.modelStore -}}
{{- if has $store.type (list "image" "s3") }}
- name: models
  {{- if eq $store.type "image" }}
  {{- include "triptych.imageFields" (dict "root" . "image" $store.image) | nindent 2 }}
  command: [/bin/cp, -r, /models/., /target]
  {{- else }}
  {{- include "triptych.imageFields" (dict "root" . "image" $store.s3.image) | nindent 2 }}
  command: [aws, s3, sync, --only-show-errors, {{ $store.s3.uri | quote }}, /target]
  env:
    - name: HOME
      value: /tmp
    {{- with $store.s3.region }}
    - name: AWS_REGION
      value: {{ . | quote }}
    {{- end }}
    {{- with $store.s3.endpointUrl }}
    - name: AWS_ENDPOINT_URL
      value: {{ . | quote }}
    {{- end }}
    {{- if $store.s3.existingSecret }}
    - name: AWS_SHARED_CREDENTIALS_FILE
      value: /etc/triptych/s3/credentials
    {{- end }}
  {{- end }}
  {{- include "triptych.containerSecurity" . | nindent 2 }}
  resources:
    {{- toYaml $store.resources | nindent 4 }}
  volumeMounts:
    - name: models
      mountPath: /target
    - name: tmp
      mountPath: /tmp
    {{- if and (eq $store.type "s3") $store.s3.existingSecret }}
    - name: s3-credentials
      mountPath: /etc/triptych/s3
      readOnly: true
    {{- end }}
{{- end }}
{{- end -}}
