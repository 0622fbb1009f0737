{{/* Where the experiments service keeps what it is told: each replica a journal, and all of them a database. */}}

{{- define "triptych.experiments.env" -}}
- {name: TRIPTYCH_DATA_DIR, value: /data}
{{- if .Values.experiments.database.existingSecret }}
- {name: TRIPTYCH_DATABASE_URL_FILE, value: /etc/triptych/database/database-url}
{{- end }}
{{- end -}}

{{/* Argument: root. */}}
{{- define "triptych.experiments.mounts" -}}
- name: data
  mountPath: /data
{{- if .Values.experiments.database.existingSecret }}
- name: database
  mountPath: /etc/triptych/database
  readOnly: true
{{- end }}
{{- end -}}

{{/* Volumes beside the claim; where none is made, one that goes with the Pod. Argument: root. */}}
{{- define "triptych.experiments.volumes" -}}
{{- with .Values.experiments.database.existingSecret }}
- name: database
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - {key: database-url, path: database-url}
{{- end }}
{{- with .Values.experiments.persistence }}
{{- if not .enabled }}
- name: data
  emptyDir:
    sizeLimit: {{ .size }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Claim of each replica; it stays when the replica goes. Its labels can never change. Argument: root. */}}
{{- define "triptych.experiments.claim" -}}
{{- with .Values.experiments.persistence }}
{{- if .enabled }}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: data
    labels:
      {{- include "triptych.selectorLabels" (dict "root" $ "component" "experiments") | nindent 6 }}
  spec:
    accessModes:
      {{- toYaml .accessModes | nindent 6 }}
    {{- with .storageClassName }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ .size }}
{{- end }}
{{- end }}
{{- end -}}
