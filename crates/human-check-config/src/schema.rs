use crate::model::Model;

/// Returns the JSON schema of configuration files, for completion and errors in editors.
///
/// It has the kinds of providers that this program was built with. It knows names and types of
/// keys; a [dry run](crate::DeploymentBuilder::with_dry_run) also finds values that do not fit
/// together.
///
/// ```
/// let schema = human_check_config::schema();
/// assert!(schema["properties"]["providers"].is_object());
/// ```
pub fn schema() -> serde_json::Value {
    let schema = schemars::schema_for!(Model);
    schema.to_value()
}
