use crate::model::Model;

/// Returns the JSON schema of configuration files, for editors and other tools.
pub fn schema() -> serde_json::Value {
    let schema = schemars::schema_for!(Model);
    schema.to_value()
}
