//! The kinds of `core.spinkube.dev/v1alpha1` as far as the shop uses them. What Kubernetes itself has is in `k8s-openapi`.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{EnvVarSource, Volume, VolumeMount},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Fields that others of the same kind have are unknown here on purpose: who uses one adds it, after looking it up.
macro_rules! kinds {
    ($($kind:ident { $($field:ident: $type:ty),* $(,)? })*) => { $(
        #[derive(Debug, Default, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub(super) struct $kind { $(#[serde(default, skip_serializing_if = "is_nothing")] pub(super) $field: $type),* }
    )* };
}

/// No value, or an empty list: as good as not there.
fn is_nothing<T: Serialize>(value: &T) -> bool {
    serde_json::to_value(value).is_ok_and(|value| value.is_null() || value.as_array().is_some_and(Vec::is_empty))
}

kinds! {
    SpinApp { api_version: String, kind: String, metadata: ObjectMeta, spec: SpinAppSpec }
    SpinAppSpec {
        image: String,
        executor: String,
        replicas: Option<i32>,
        enable_autoscaling: Option<bool>,
        runtime_config: Option<RuntimeConfig>,
        volumes: Vec<Volume>,
        volume_mounts: Vec<VolumeMount>,
        variables: Vec<SpinVar>,
        checks: Option<HealthChecks>,
        resources: Option<Resources>,
    }
    RuntimeConfig { load_from_secret: Option<String> }
    SpinVar { name: String, value: Option<String>, value_from: Option<EnvVarSource> }
    HealthChecks { readiness: Option<HealthProbe>, liveness: Option<HealthProbe> }
    HealthProbe {
        http_get: Option<HttpHealthProbe>,
        initial_delay_seconds: Option<i32>,
        timeout_seconds: Option<i32>,
        period_seconds: Option<i32>,
        success_threshold: Option<i32>,
        failure_threshold: Option<i32>,
    }
    HttpHealthProbe { path: String }
    Resources { limits: Option<BTreeMap<String, Quantity>>, requests: Option<BTreeMap<String, Quantity>> }
    SpinAppExecutor { api_version: String, kind: String, metadata: ObjectMeta, spec: SpinAppExecutorSpec }
    SpinAppExecutorSpec { create_deployment: bool, deployment_config: Option<DeploymentConfig> }
    DeploymentConfig { spin_image: Option<String> }
}

/// Where a manifest is not as the definition of its kind says. Unknown fields are refused, as with `kubectl --validate=strict`.
pub(super) fn refusals(definition: &Value, manifest: &Value) -> Vec<String> {
    let (_, version) = manifest["apiVersion"].as_str().unwrap().split_once('/').unwrap();
    let versions = definition["spec"]["versions"].as_array().unwrap();
    let version = versions.iter().find(|known| known["name"] == version).unwrap();
    let mut schema = version["schema"]["openAPIV3Schema"].clone();
    close(&mut schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors = validator.iter_errors(manifest).map(|error| format!("{}: {error}", error.instance_path()));
    errors.collect()
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            let free = fields.contains_key("x-kubernetes-preserve-unknown-fields");
            if fields.contains_key("properties") && !fields.contains_key("additionalProperties") && !free {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
