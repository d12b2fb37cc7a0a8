{{/* "true" if the chart fetches checkpoints. */}}
{{- define "audiocraft.models.fetched" -}}
{{- if has .Values.models.source (list "job" "download") -}}true{{- end -}}
{{- end -}}

{{/* The checkpoint whose codec is exported. */}}
{{- define "audiocraft.models.exported" -}}
{{- .Values.models.exported | default .Values.triton.musicgen.checkpoint -}}
{{- end -}}

{{/* The folder that Triton serves; empty means the image's own. Each codec has its own folder, so that a new codec
     never changes the folder of pods that still serve the old one. */}}
{{- define "audiocraft.models.repository" -}}
{{- if eq .Values.models.source "claim" -}}
{{- .Values.models.repository -}}
{{- else if include "audiocraft.models.fetched" . -}}
/models/repositories/{{ include "audiocraft.models.exported" . | trimPrefix "/models/" | replace "/" "--" }}-{{ include "audiocraft.models.hash" . }}
{{- end -}}
{{- end -}}

{{/* A hash of everything that determines the prepared files. */}}
{{- define "audiocraft.models.hash" -}}
{{- $image := include "audiocraft.image" (list . .Values.triton.image) -}}
{{- list .Values.models.checkpoints .Values.models.lock (include "audiocraft.models.exported" .) $image | toJson | sha256sum | trunc 10 -}}
{{- end -}}

{{- define "audiocraft.models.claimName" -}}
{{- .Values.models.existingClaim | default (printf "%s-models" (include "audiocraft.fullname" .)) -}}
{{- end -}}

{{/* A file that marks the volume as complete for this configuration. */}}
{{- define "audiocraft.models.marker" -}}
/models/.prepared-{{ include "audiocraft.models.hash" . }}
{{- end -}}

{{/* The volumes of pods that mount /models. */}}
{{- define "audiocraft.models.volume" -}}
- name: models
  {{- if eq .Values.models.source "download" }}
  emptyDir: {sizeLimit: {{ .Values.models.scratch }}}
  {{- else }}
  persistentVolumeClaim:
    claimName: {{ include "audiocraft.models.claimName" . }}
  {{- end }}
{{- end -}}

{{- define "audiocraft.models.prepareVolumes" -}}
- name: download
  emptyDir: {sizeLimit: {{ .Values.models.scratch }}}
{{- if .Values.models.lock }}
- name: lock
  configMap:
    name: {{ include "audiocraft.fullname" . }}-lock-{{ include "audiocraft.models.hash" . }}
{{- end }}
{{- end -}}

{{/* The container that fetches and exports the models. It does nothing if they are already prepared. */}}
{{- define "audiocraft.models.prepareContainer" -}}
- name: prepare-models
  image: {{ include "audiocraft.image" (list . .Values.triton.image) }}
  imagePullPolicy: {{ .Values.triton.image.pullPolicy }}
  command: [sh, -ec]
  args:
    - |
      test ! -e {{ include "audiocraft.models.marker" . }} || exit 0
      audiocraft-triton fetch {{ join " " .Values.models.checkpoints }} --out /models
      {{- if .Values.models.lock }} --lock /lock/checkpoint.lock.json{{ end }}
      audiocraft-triton export --checkpoint {{ include "audiocraft.models.exported" . }} --repository {{ include "audiocraft.models.repository" . }}
      touch {{ include "audiocraft.models.marker" . }}
  env:
    - {name: HF_HUB_OFFLINE, value: "0"}
    - {name: HF_HOME, value: /tmp/hub}
    {{- with .Values.models.token.existingSecret }}
    - name: HF_TOKEN
      valueFrom:
        secretKeyRef: {name: {{ . }}, key: {{ $.Values.models.token.key }}}
    {{- end }}
  securityContext: {{- include "audiocraft.containerSecurity" . | nindent 4 }}
  resources: {{- toYaml .Values.models.resources | nindent 4 }}
  volumeMounts:
    - {name: models, mountPath: /models}
    - {name: download, mountPath: /tmp}
    {{- if .Values.models.lock }}
    - {name: lock, mountPath: /lock, readOnly: true}
    {{- end }}
{{- end -}}

{{/* Refuses combinations of models' values that can't work, before anything is installed. */}}
{{- define "audiocraft.models.check" -}}
{{- $models := .Values.models -}}
{{- $folders := list .Values.triton.musicgen.checkpoint .Values.triton.audiogen.checkpoint -}}
{{- $folders = concat $folders (list .Values.triton.multibandDiffusion.checkpoint .Values.triton.multibandDiffusion.diffusionCheckpoint) -}}
{{- if and (eq $models.source "claim") (not $models.existingClaim) -}}
{{- fail "models.source=claim: models.existingClaim must name the claim" -}}
{{- end -}}
{{- if and (include "audiocraft.models.fetched" .) (not $models.checkpoints) -}}
{{- fail (printf "models.source=%s: models.checkpoints must name what to fetch, such as facebook/musicgen-small" $models.source) -}}
{{- end -}}
{{- if and $models.checkpoints (not (include "audiocraft.models.fetched" .)) -}}
{{- fail (printf "models.checkpoints are only fetched with models.source job or download, not %s" $models.source) -}}
{{- end -}}
{{- range $folder := $folders -}}
{{- if hasPrefix "/models/" $folder -}}
{{- if eq $models.source "image" -}}
{{- fail (printf "checkpoint %s: there is no /models with models.source=image" $folder) -}}
{{- end -}}
{{- if and (include "audiocraft.models.fetched" $) (not (has (trimPrefix "/models/" $folder) $models.checkpoints)) -}}
{{- fail (printf "checkpoint %s: models.checkpoints does not fetch %s" $folder (trimPrefix "/models/" $folder)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Egress rules for the hub, without a cloud's metadata service. */}}
{{- define "audiocraft.models.hubEgress" -}}
- to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
    - ipBlock: {cidr: "::/0", except: ["fe80::/10", "fd00:ec2::/32"]}
  ports:
    - {port: 443, protocol: TCP}
{{- end -}}
