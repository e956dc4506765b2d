//! The assumptions of the browser tests in `browser/`.

use std::collections::BTreeMap;

use human_check_core::{ConfigError, Widget};

type Sources = BTreeMap<String, Vec<String>>;

#[test]
fn pages_are_tested_under_the_policies_that_the_adapters_state() -> Result<(), ConfigError> {
    let widgets: [(&str, Widget); 6] = [
        ("captchala", human_check_captchala::widget("key")?),
        ("hcaptcha", human_check_hcaptcha::widget("key")?),
        (
            "recaptcha-enterprise",
            human_check_recaptcha::widget_enterprise_checkbox("key")?,
        ),
        ("recaptcha-v2", human_check_recaptcha::widget_v2("key")?),
        ("recaptcha-v3", human_check_recaptcha::widget_v3("key")?),
        ("turnstile", human_check_turnstile::widget("key")?),
    ];
    let stated: BTreeMap<String, Sources> = widgets
        .iter()
        .map(|(name, widget)| {
            let sources = widget
                .csp_sources()
                .into_iter()
                .map(|(directive, sources)| {
                    let sources = sources.into_iter().map(str::to_owned).collect();
                    (directive.to_owned(), sources)
                });
            ((*name).to_owned(), sources.collect())
        })
        .collect();
    let tested: BTreeMap<String, Sources> =
        serde_json::from_str(include_str!("../../browser/sources.json")).unwrap();
    assert_eq!(stated, tested);
    Ok(())
}
