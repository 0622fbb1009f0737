{{/* What one field alone cannot say: each refusal is a sentence that names the values. */}}
{{- define "triptych.checks" -}}
{{- include "triptych.checks.pools" . -}}
{{- include "triptych.checks.store" . -}}
{{- include "triptych.checks.tls" . -}}
{{- include "triptych.checks.scaling" . -}}
{{- include "triptych.checks.routes" . -}}
{{- include "triptych.checks.training" . -}}
{{- include "triptych.checks.experiments" . -}}
{{- end -}}

{{- define "triptych.checks.pools" -}}
{{- $seen := dict -}}
{{- range $own := .Values.triton.pools -}}
{{- if hasKey $seen .name -}}
{{- fail (printf "\n\ntriton.pools has two pools named %q: every pool needs a name of its own.\n" .name) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- $pool := include "triptych.pool" (dict "root" $ "pool" .) | fromYaml -}}
{{- range $key := list "gpu" "engine" -}}
{{- if and (eq $own.backend "cpu") (hasKey $own $key) -}}
{{- fail (printf "\n\ntriton.pools[%s] has the backend cpu, where %s has no effect: take it out, or set backend: gpu.\n" $own.name $key) -}}
{{- end -}}
{{- end -}}
{{- if eq .backend "gpu" -}}
{{- include "triptych.checks.engine" (dict "root" $ "pool" $pool) -}}
{{- end -}}
{{- if and (eq .backend "gpu") $pool.gpu.dra.enabled (semverCompare "<1.33-0" $.Capabilities.KubeVersion.Version) -}}
{{- fail (printf "\n\ntriton.pools[%s].gpu.dra.enabled needs Kubernetes 1.33 or newer (1.34 has it on by default); this is %s.\n" .name $.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "triptych.checks.store" -}}
{{- $store := .Values.modelStore -}}
{{- $needed := dict "pvc" (list "pvc.existingClaim" $store.pvc.existingClaim) "s3" (list "s3.uri" $store.s3.uri) "hostPath" (list "hostPath.path" $store.hostPath.path) -}}
{{- with get $needed $store.type -}}
{{- if not (last .) -}}
{{- fail (printf "\n\nmodelStore.type is %s, so modelStore.%s must be set.\n" $store.type (first .)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.trustedKeys.existingConfigMap .Values.trustedKeys.existingSecret -}}
{{- fail "\n\ntrustedKeys has both existingConfigMap and existingSecret: only one of them can hold the keys.\n" -}}
{{- end -}}
{{- if and (eq $store.type "imageVolume") (semverCompare "<1.33-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "\n\nmodelStore.type imageVolume needs Kubernetes 1.33 or newer (1.35 has it on by default); this is %s. Use the type image instead.\n" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}

{{- define "triptych.checks.tls" -}}
{{- $tls := .Values.tls -}}
{{- if and $tls.enabled (eq $tls.source "existingSecrets") -}}
{{- range append (include "triptych.tiers" . | fromJsonArray) "triton" -}}
{{- if not (or $tls.existingSecret (get $tls.existingSecrets .)) -}}
{{- fail (printf "\n\ntls.source is existingSecrets, but neither tls.existingSecret nor tls.existingSecrets.%s is set.\n" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $edge := .Values.edgeTLS -}}
{{- if and $edge.enabled (not $edge.existingSecret) -}}
{{- if not (and $edge.certManager.issuerRef.name $edge.certManager.dnsNames) -}}
{{- fail "\n\nedgeTLS.enabled needs edgeTLS.existingSecret, or edgeTLS.certManager.issuerRef.name and edgeTLS.certManager.dnsNames.\n" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "triptych.checks.experiments" -}}
{{- $own := .Values.experiments -}}
{{- $replicas := (include "triptych.tier" (dict "root" . "tier" "experiments") | fromYaml).replicas | int64 -}}
{{- if and $own.enabled (gt $replicas 1) (not $own.database.existingSecret) -}}
{{- fail (printf "\n\nexperiments.replicas is %d, but without experiments.database.existingSecret each replica would keep a database of its own: set replicas to 1, or name the Secret with the URL of a PostgreSQL.\n" $replicas) -}}
{{- end -}}
{{- if and $own.admin (not $own.enabled) -}}
{{- fail "\n\nexperiments.admin has no effect without experiments.enabled: take it out, or set experiments.enabled.\n" -}}
{{- end -}}
{{- end -}}

{{- define "triptych.checks.scaling" -}}
{{- range list "gateway" "preprocess" "inference" "postprocess" -}}
{{- include "triptych.checks.range" (dict "path" . "pod" (include "triptych.tier" (dict "root" $ "tier" .) | fromYaml) "root" $) -}}
{{- end -}}
{{- range .Values.triton.pools -}}
{{- include "triptych.checks.range" (dict "path" (printf "triton.pools[%s]" .name) "pod" (include "triptych.pool" (dict "root" $ "pool" .) | fromYaml) "root" $) -}}
{{- end -}}
{{- end -}}

{{- define "triptych.checks.range" -}}
{{- include "triptych.checks.strategy" . -}}
{{- $scaling := .pod.autoscaling -}}
{{- if and (ne $scaling.type "none") (gt (int64 $scaling.minReplicas) (int64 $scaling.maxReplicas)) -}}
{{- fail (printf "\n\n%s.autoscaling: minReplicas (%v) is above maxReplicas (%v).\n" .path $scaling.minReplicas $scaling.maxReplicas) -}}
{{- end -}}
{{- if and (eq $scaling.type "keda") (not .root.Values.prometheus.serverAddress) -}}
{{- fail (printf "\n\n%s.autoscaling.type is keda, which needs prometheus.serverAddress.\n" .path) -}}
{{- end -}}
{{- end -}}

{{- define "triptych.checks.strategy" -}}
{{- if and (has (toString .pod.strategy.maxSurge) (list "0" "0%")) (has (toString .pod.strategy.maxUnavailable) (list "0" "0%")) -}}
{{- fail (printf "\n\n%s.strategy: maxSurge and maxUnavailable are both 0, so no replica could ever be replaced.\n" .path) -}}
{{- end -}}
{{- end -}}

{{- define "triptych.checks.routes" -}}
{{- $api := .Values.gatewayApi -}}
{{- $http := $api.httpRoute -}}
{{- $grpc := $api.grpcRoute -}}
{{- if and (or $http.enabled $grpc.enabled) (not $api.gateway.create) (not $api.parentRefs) -}}
{{- fail "\n\ngatewayApi: a route needs gatewayApi.parentRefs, or gatewayApi.gateway.create.\n" -}}
{{- end -}}
{{- if and $api.gateway.create (not $api.gateway.className) -}}
{{- fail "\n\ngatewayApi.gateway.create needs gatewayApi.gateway.className.\n" -}}
{{- end -}}
{{- if and $http.enabled $grpc.enabled -}}
{{- range $grpc.hostnames -}}
{{- if has . $http.hostnames -}}
{{- fail (printf "\n\ngatewayApi: httpRoute and grpcRoute both have the hostname %s, which the Gateway API does not allow: give gRPC one of its own.\n" .) -}}
{{- end -}}
{{- end -}}
{{- if not (and $http.hostnames $grpc.hostnames) -}}
{{- fail "\n\ngatewayApi: with both httpRoute and grpcRoute enabled, each needs hostnames, and no name may be in both.\n" -}}
{{- end -}}
{{- end -}}
{{- if and $api.backendTLSPolicy.enabled (not .Values.edgeTLS.enabled) -}}
{{- fail "\n\ngatewayApi.backendTLSPolicy.enabled needs edgeTLS.enabled: without it our gateway speaks no TLS.\n" -}}
{{- end -}}
{{- if and (or $http.enabled $grpc.enabled) .Values.edgeTLS.enabled (not $api.backendTLSPolicy.enabled) -}}
{{- fail "\n\ngatewayApi: with edgeTLS.enabled our gateway speaks only TLS, so a route to it needs gatewayApi.backendTLSPolicy.enabled.\n" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "\n\ningress.enabled needs at least one name in ingress.hosts.\n" -}}
{{- end -}}
{{- end -}}

{{- define "triptych.checks.engine" -}}
{{- $pool := .pool -}}
{{- $served := list -}}
{{- range $pool.engine.models }}{{ $served = append $served .name }}{{ end -}}
{{- range .root.Values.triton.models -}}
{{- if not (has . $served) -}}
{{- fail (printf "\n\ntriton.models names %s, but triton.pools[%s].engine.models does not: say its version, file and sha256 there.\n" . $pool.name) -}}
{{- end -}}
{{- end -}}
{{- if eq $pool.engine.kind "tensorrt" -}}
{{- $store := .root.Values.engineStore -}}
{{- if not (or $store.existingClaim $store.create) -}}
{{- fail (printf "\n\ntriton.pools[%s].engine.kind is tensorrt, which needs engineStore.existingClaim, or engineStore.create.\n" $pool.name) -}}
{{- end -}}
{{- if not (or $pool.gpu.product $pool.gpu.dra.selectors) -}}
{{- fail (printf "\n\ntriton.pools[%s].engine.kind is tensorrt, and a plan runs only on the GPU that it is built for: set gpu.product, or gpu.dra.selectors.\n" $pool.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
