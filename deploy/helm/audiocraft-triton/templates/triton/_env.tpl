{{/* One generation model's settings as variables: (list . "musicgen"). */}}
{{- define "audiocraft.triton.generationEnv" -}}
{{- $top := index . 0 -}}
{{- $name := index . 1 -}}
{{- $model := index $top.Values.triton $name -}}
{{- $slots := ternary 64 $model.slots (eq (toString $model.slots) "auto") | int -}}
{{- $engines := max 1 $top.Values.triton.gpus | int -}}
AUDIOCRAFT_{{ upper $name }}_CHECKPOINT: {{ $model.checkpoint | quote }}
AUDIOCRAFT_{{ upper $name }}_DTYPE: {{ $model.dtype | quote }}
AUDIOCRAFT_{{ upper $name }}_SLOTS: {{ toString $model.slots | quote }}
AUDIOCRAFT_{{ upper $name }}_MAX_WAITING: {{ int $model.maxWaiting | quote }}
AUDIOCRAFT_{{ upper $name }}_MULTIBAND_DIFFUSION: {{ toString $model.multibandDiffusion | quote }}
# Limit of the unary model: more than all engines of this pod admit, so that the engines decide which requests to refuse.
AUDIOCRAFT_{{ upper $name }}_MAX_CONCURRENT: {{ add (mul $engines (add $slots (int $model.maxWaiting))) 16 | quote }}
{{- end -}}

{{/* Variables of Triton's container, without secrets. */}}
{{- define "audiocraft.triton.env" -}}
{{- $env := dict -}}
{{- $env = merge $env (include "audiocraft.triton.generationEnv" (list . "musicgen") | fromYaml) -}}
{{- $env = merge $env (include "audiocraft.triton.generationEnv" (list . "audiogen") | fromYaml) -}}
{{- $_ := set $env "AUDIOCRAFT_MULTIBAND_DIFFUSION_CHECKPOINT" .Values.triton.multibandDiffusion.checkpoint -}}
{{- $_ := set $env "AUDIOCRAFT_MULTIBAND_DIFFUSION_DIFFUSION_CHECKPOINT" .Values.triton.multibandDiffusion.diffusionCheckpoint -}}
{{- $_ := set $env "AUDIOCRAFT_DRAIN_SECONDS" (.Values.drainSeconds | int | toString) -}}
{{- with include "audiocraft.models.repository" . -}}
{{- $_ := set $env "AUDIOCRAFT_MODEL_REPOSITORY" . -}}
{{- end -}}
{{- mergeOverwrite $env .Values.triton.env | toYaml -}}
{{- end -}}
