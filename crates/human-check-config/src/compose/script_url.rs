use async_trait::async_trait;
use human_check_core::{Health, Provider};
use human_check_guard::ScriptProbe;
use human_check_http::{Endpoint, ProviderClient, Reply, Request};

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
            .call(&SCRIPT, request, &[], |reply| {
                Ok((reply.status(), is_page(reply)))
            })
            .await;
        match read {
            // Such as that of a network which wants a login.
            Ok((200, true)) => Health::Inconclusive("no-script"),
            Ok((200..=399, _)) => Health::Up,
            Ok((500..=599, _)) => Health::Down("server-error"),
            Ok(_) => Health::Inconclusive("unexpected-status"),
            // It is being sent.
            Err(error) if error.reason() == "reply-too-large" => Health::Up,
            Err(error) if error.kind() == human_check_core::ErrorKind::Unavailable => {
                Health::Down(error.reason())
            }
            // Also where the proxy requires other credentials: no browser uses it.
            Err(error) => Health::Inconclusive(error.reason()),
        }
    }
}

/// Returns whether a reply is a page of HTML, and so no script.
fn is_page(reply: &Reply) -> bool {
    let content_type = reply.headers().get("content-type");
    content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

#[cfg(test)]
mod tests {
    use human_check_http::{MockTransport, SendError, SendErrorKind};

    use super::*;

    async fn probed(transport: MockTransport) -> Health {
        let endpoint = Endpoint::parse("https://provider.example/api.js").unwrap();
        let client = ProviderClient::new(transport);
        ScriptUrl { client, endpoint }.probe_script().await
    }

    #[tokio::test]
    async fn a_failed_connection_and_a_5xx_are_down_and_a_long_script_is_up() {
        for (status, health) in [
            (200, Health::Up),
            (304, Health::Up),
            (404, Health::Inconclusive("unexpected-status")),
            (429, Health::Inconclusive("unexpected-status")),
            (503, Health::Down("server-error")),
        ] {
            assert_eq!(
                probed(MockTransport::always(Reply::new(status, ""))).await,
                health
            );
        }
        for (kind, health) in [
            (SendErrorKind::NotSent, Health::Down("not-connected")),
            (SendErrorKind::Lost, Health::Down("connection-lost")),
            (SendErrorKind::TooLarge, Health::Up),
            (
                SendErrorKind::ProxyRefused,
                Health::Inconclusive("proxy-credentials"),
            ),
        ] {
            let failing = MockTransport::new(move |_| Err(SendError::new(kind)));
            assert_eq!(probed(failing).await, health, "{kind:?}");
        }
    }
}
