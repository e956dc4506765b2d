use async_trait::async_trait;
use human_check_core::{Health, Provider};
use human_check_guard::ScriptProbe;
use human_check_http::{Endpoint, ProviderClient, Request};

/// The script of a widget, which pages load from the provider.
#[derive(Debug)]
pub(super) struct ScriptUrl {
    pub(super) client: ProviderClient,
    pub(super) endpoint: Endpoint,
}

#[async_trait]
impl ScriptProbe for ScriptUrl {
    async fn probe_script(&self) -> Health {
        // A name of its own, so that no base URL of a provider applies.
        static SCRIPT: Provider = Provider::new("widget-script", &[]);
        let client = self.client.for_health_probe();
        let request = Request::get(&self.endpoint);
        let read = client
            .call(&SCRIPT, request, &[], |reply| Ok(reply.status()))
            .await;
        match read {
            Ok(200..=399) => Health::Up,
            Ok(500..=599) => Health::Down("server-error"),
            Ok(_) => Health::Inconclusive("unexpected-status"),
            // It is being sent.
            Err(error) if error.reason() == "reply-too-large" => Health::Up,
            Err(error) if error.kind() == human_check_core::ErrorKind::Unavailable => {
                Health::Down(error.reason())
            }
            Err(error) => Health::Inconclusive(error.reason()),
        }
    }
}
