"""Files that have to work: those of the product document, word for word, and more of their kind."""

from __future__ import annotations

PLUGINS = """\
# flowyml.yaml
plugins:
  experiment_tracker:            # ← (A) Metrics & Parameters go here
    type: mlflow
    tracking_uri: http://localhost:5000
    experiment_name: my_experiments

  artifact_store:                # ← (B) ALL artifacts stored here
    type: gcs
    bucket: my-ml-artifacts
    prefix: experiments/
    project: my-gcp-project

  model_registry:                # ← (C) Model type auto-registered here
    type: vertex_model_registry

  orchestrator:                  # ← (D) WHERE steps RUN (not storage)
    type: vertex_ai
    project: my-gcp-project
    location: us-central1
    staging_bucket: gs://my-staging-bucket

  artifact_routing:              # ← (E) OPTIONAL fine-grained rules
    Model:
      store: gcs                 # Save to artifact_store
      register: true             # Register in model_registry (C)
      deploy: false              # Don't auto-deploy
    Dataset:
      store: gcs
      path: "{run_id}/data/{step_name}"
    Metrics:
      log_to_tracker: true       # Log to experiment_tracker (A)
"""

STACKS = """\
stacks:
  local:
    orchestrator: { type: local }
    artifact_store: { type: local, path: "./artifacts" }

  gcp-prod:
    orchestrator: { type: vertex_ai, project: ${GCP_PROJECT} }
    artifact_store: { type: gcs, bucket: my-ml-artifacts }
    model_registry: { type: vertex_model_registry }
    model_deployer: { type: vertex_endpoint }
    experiment_tracker: { type: mlflow, tracking_uri: ${MLFLOW_URI} }

    artifact_routing:
      Model:
        store: gcs
        register: true      # Auto-register to model registry
        deploy: true        # Auto-deploy to endpoint
        endpoint_name: production-model
      Dataset:
        store: gcs
        path: "{run_id}/datasets/{step_name}"
      Metrics:
        log_to_tracker: true
      Parameters:
        log_to_tracker: true

  aws-staging:
    orchestrator: { type: sagemaker, region: us-east-1 }
    artifact_store: { type: s3, bucket: my-s3-bucket }
    model_registry: { type: sagemaker_model_registry }
    model_deployer: { type: sagemaker_endpoint, role_arn: ${SAGEMAKER_ROLE} }

    artifact_routing:
      Model: { store: s3, register: true }
      Dataset: { store: s3 }

active_stack: local
"""

CONDITIONS = """\
plugins:
  artifact_store: { type: gcs, bucket: b }
  artifact_routing:
    Model:
      store: gcs
      register: true
      deploy: true

      # Option 2: Auto-deploy when metrics meet thresholds
      deploy_condition: auto
      deploy_min_metrics:
        accuracy: 0.95
        f1_score: 0.90
    default:
      path: "{run_id}/{step_name}/{artifact_name}"
"""

EVERYTHING = """\
x-shared: &bucket { type: gcs, bucket: b, timeout: 5 }
stacks:
  all:
    artifact_store: *bucket
    artifact_stores:
      archive: { <<: *bucket, prefix: old, parts: ${PARTS:-8}, verify: ${VERIFY:-false} }
      disk: { type: local, path: ~/shelf }
    experiment_tracker: [{ type: mlflow }, { type: wandb }]
    prompt_registry: { type: memory }
    extensions: [audit, { type: audit, name: second }]
    trust: pickle
    cache: true
    artifact_routing:
      Model: { store: archive, on_error: fail, hooks: { publish_prompt: false } }
      default: { store: default, overwrite: true, format: json }
  bare:
pipelines:
  train: pipelines/train.py:pipeline
  nightly: acme.nightly:pipeline
"""

DOCUMENTED = {
    "plugins": PLUGINS,
    "stacks": STACKS,
    "conditions": CONDITIONS,
    "everything": EVERYTHING,
}
