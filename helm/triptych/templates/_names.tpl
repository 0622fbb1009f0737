{{/* Names, labels and images: everything that objects refer to each other by. */}}

{{- define "triptych.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 26 letters leave room for the longest suffix, "-engine-<pool of 20>-<hash of 8>", within the 63 of a label. */}}
{{- define "triptych.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 26 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "triptych.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 26 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "triptych.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "triptych.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change in the life of a release. Argument: {root, component}. */}}
{{- define "triptych.selectorLabels" -}}
app.kubernetes.io/name: {{ include "triptych.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Labels of objects and Pods. Argument: {root, component}. */}}
{{- define "triptych.labels" -}}
{{ include "triptych.selectorLabels" . }}
app.kubernetes.io/part-of: triptych
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels that belong to objects, but not to Pods, which a new version of the chart alone must not restart. */}}
{{- define "triptych.objectLabels" -}}
{{ include "triptych.labels" . }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Metadata of an object. Argument: {root, component, name}; optionally labels and annotations. */}}
{{- define "triptych.metadata" -}}
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "triptych.objectLabels" . | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (default dict .annotations) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Reference of an image. Argument: {root, image}. A digest wins over a tag; without a tag it is the chart's version. */}}
{{- define "triptych.image" -}}
{{- $registry := default .root.Values.global.imageRegistry .image.registry -}}
{{- $tag := default .root.Chart.AppVersion .image.tag -}}
{{- if and .root.Values.global.requireDigests (not .image.digest) -}}
{{- fail (printf "\n\nglobal.requireDigests is true, but the image %s has no digest: set its `digest` to the sha256:... that you have verified.\n" .image.repository) -}}
{{- end -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{ .image.repository }}:{{ $tag }}
{{- with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* The `image` and `imagePullPolicy` of a container. Argument: {root, image}. */}}
{{- define "triptych.imageFields" -}}
image: {{ include "triptych.image" . | quote }}
imagePullPolicy: {{ .root.Values.global.imagePullPolicy }}
{{- end -}}
