{{/* Every worker is found under a name of this headless Service: JOB-INDEX.SERVICE. */}}
{{- define "triptych.training.name" -}}
{{ include "triptych.fullname" . }}-training
{{- end -}}

{{/* Spec of the Job, but for `suspend`, which may change while it exists. Argument: {root, name} with the Job's name. */}}
{{- define "triptych.training.job" -}}
{{- $root := .root -}}
{{- $training := $root.Values.training -}}
{{- $selector := include "triptych.selectorLabels" (dict "root" $root "component" "training") -}}
{{- $unspread := mergeOverwrite (deepCopy $training) (dict "topologySpread" (dict "host" "" "zone" "")) -}}
completionMode: Indexed
completions: {{ int64 $training.workers }}
parallelism: {{ int64 $training.workers }}
# When one worker falls the others cannot go on: all fall, and meet again. Counted for the Job as a whole, one fall would
# be as many failures as there are workers.
backoffLimitPerIndex: {{ int64 $training.job.backoffLimitPerIndex }}
# For a worker that is given up the others would wait in vain.
maxFailedIndexes: 0
podFailurePolicy:
  rules:
    # A node that is drained, or a Pod of a higher priority, is no failure of the worker.
    - action: Ignore
      onPodConditions:
        - {type: DisruptionTarget, status: "True"}
{{- if semverCompare ">=1.31-0" $root.Capabilities.KubeVersion.Version }}
# Worker 0 writes the result, after which a worker that comes again would meet nobody.
successPolicy:
  rules:
    - succeededIndexes: "0"
{{- end }}
activeDeadlineSeconds: {{ int64 $training.job.activeDeadlineSeconds }}
{{- if not (kindIs "invalid" $training.job.ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ int64 $training.job.ttlSecondsAfterFinished }}
{{- end }}
template:
  metadata:
    labels:
      {{- $selector | nindent 6 }}
      {{- with $training.podLabels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with $training.podAnnotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    {{- include "triptych.podSecurity" (dict "root" $root "user" $root.Values.podSecurity.user) | nindent 4 }}
    {{- with include "triptych.scheduling" (dict "root" $root "pod" $unspread "nodeSelector" (include "triptych.pool.nodeSelector" $training | fromYaml)) | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    subdomain: {{ include "triptych.training.name" $root }}
    restartPolicy: Never
    containers:
      - name: train
        {{- include "triptych.imageFields" (dict "root" $root "image" $training.image) | nindent 8 }}
        {{- include "triptych.containerSecurity" $root | nindent 8 }}
        command: [torchrun]
        args:
          {{- include "triptych.training.args" . | trim | nindent 10 }}
        env:
          - {name: OMP_NUM_THREADS, value: {{ int64 $training.threads | quote }}}
          {{- with $training.extraEnv }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        ports:
          - {name: rendezvous, containerPort: 29500}
        resources:
          {{- include "triptych.training.resources" $training | nindent 10 }}
        volumeMounts:
          {{- include "triptych.training.mounts" (dict "root" $root "readOnly" true) | trim | nindent 10 }}
          - {name: recipe, mountPath: /recipes, readOnly: true}
          - {name: pixels, mountPath: /pixels}
          {{- if $training.gpu.count }}
          - {name: shm, mountPath: /dev/shm}
          {{- end }}
    volumes:
      {{- include "triptych.training.volumes" $root | trim | nindent 6 }}
      - name: recipe
        configMap:
          name: {{ default (include "triptych.training.name" $root) $training.existingConfigMap }}
      - name: pixels
        emptyDir:
          sizeLimit: {{ $training.pixelsSizeLimit }}
      {{- if $training.gpu.count }}
      - name: shm
        emptyDir:
          medium: Memory
          sizeLimit: {{ $training.shmSize }}
      {{- end }}
{{- end -}}
