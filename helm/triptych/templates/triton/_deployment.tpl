{{/* Deployment of a pool. Argument: {root, pool}; the pool is merged already. */}}
{{- define "triptych.pool.deployment" -}}
{{- $root := .root -}}
{{- $pool := .pool -}}
{{- $labels := include "triptych.pool.labels" $pool | fromYaml -}}
{{- $ids := dict "root" $root "component" "triton" "pod" $pool "labels" $labels -}}
{{- $selector := printf "%s\n%s" (include "triptych.selectorLabels" $ids) (include "triptych.pool.labels" $pool) -}}
{{- $nodes := include "triptych.pool.nodeSelector" $pool | fromYaml -}}
{{- $gpu := eq $pool.backend "gpu" -}}
apiVersion: apps/v1
kind: Deployment
{{ include "triptych.metadata" (merge (dict "name" (include "triptych.pool.name" .)) $ids) }}
spec:
  {{- if eq $pool.autoscaling.type "none" }}
  replicas: {{ int64 $pool.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  minReadySeconds: {{ int64 $pool.minReadySeconds }}
  # Neither loading nor waiting for plans is a lack of progress.
  progressDeadlineSeconds: {{ add (int64 $pool.probes.startupSeconds) (include "triptych.pool.plansSeconds" $pool | int64) 600 }}
  strategy:
    rollingUpdate:
      {{- toYaml $pool.strategy | nindent 6 }}
  selector:
    matchLabels:
      {{- $selector | nindent 6 }}
  template:
    {{- include "triptych.podMetadata" (merge (dict "checksums" (include "triptych.pool.checksums" . | fromYaml)) $ids) | nindent 4 }}
    spec:
      {{- include "triptych.podSecurity" (dict "root" $root "user" $pool.user) | nindent 6 }}
      {{- with include "triptych.scheduling" (merge (dict "selector" $selector "nodeSelector" $nodes) $ids) | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with include "triptych.pool.claims" . | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      terminationGracePeriodSeconds: {{ include "triptych.grace" (dict "path" (printf "triton.pools[%s]" $pool.name) "lifecycle" $pool.lifecycle) }}
      {{- $init := printf "%s\n%s" (include "triptych.models.init" $root) (include "triptych.pool.layOut" .) | trim }}
      {{- with $init }}
      initContainers:
        {{- . | nindent 8 }}
      {{- end }}
      containers:
        - name: triton
          {{- include "triptych.imageFields" (dict "root" $root "image" $pool.image) | nindent 10 }}
          {{- include "triptych.containerSecurity" . | nindent 10 }}
          {{- with $pool.command }}
          command:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          args:
            {{- include "triptych.pool.args" . | trim | nindent 12 }}
          env:
            - {name: HOME, value: /tmp}
            {{- with $pool.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - {name: grpc, containerPort: 8001}
            - {name: metrics, containerPort: 8002}
          {{- include "triptych.pool.probes" . | nindent 10 }}
          {{- with include "triptych.preStop" $pool.lifecycle | trim }}
          {{- . | nindent 10 }}
          {{- end }}
          resources:
            {{- include "triptych.pool.resources" $pool | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if $gpu }}
            - {name: shm, mountPath: /dev/shm}
            - {name: repository, mountPath: /models, readOnly: true}
            {{- include "triptych.pool.sources" . | nindent 12 }}
            {{- else }}
            {{- include "triptych.models.mount" $root | nindent 12 }}
            {{- end }}
            {{- with include "triptych.tls.mounts" $ids | trim }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with $pool.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: {{ $pool.tmpSizeLimit }}
        {{- include "triptych.models.volume" $root | nindent 8 }}
        {{- if $gpu }}
        - name: shm
          emptyDir:
            medium: Memory
            sizeLimit: {{ $pool.shmSize }}
        {{- include "triptych.pool.volumes" . | nindent 8 }}
        {{- end }}
        {{- with include "triptych.tls.volumes" $ids | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $pool.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}
