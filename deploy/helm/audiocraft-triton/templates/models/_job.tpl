{{/* The pod that prepares the models. */}}
{{- define "audiocraft.models.jobTemplate" -}}
metadata:
  labels: {{- include "audiocraft.selector" (list . "models") | nindent 4 }}
spec:
  {{- include "audiocraft.podSpec" . | nindent 2 }}
  restartPolicy: OnFailure
  {{- with .Values.triton.nodeSelector }}
  # Same placement as Triton: a volume that only one node can mount is then on the right node.
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.triton.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    {{- include "audiocraft.models.prepareContainer" . | nindent 4 }}
  volumes:
    {{- include "audiocraft.models.volume" . | nindent 4 }}
    {{- include "audiocraft.models.prepareVolumes" . | nindent 4 }}
{{- end -}}

{{/* A Job's pod can't be changed. Its hash is part of the name, so that a changed pod means a new Job. */}}
{{- define "audiocraft.models.jobName" -}}
{{ include "audiocraft.fullname" . }}-models-{{ include "audiocraft.models.jobTemplate" . | sha256sum | trunc 10 }}
{{- end -}}
