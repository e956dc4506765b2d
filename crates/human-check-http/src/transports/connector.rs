//! Connects to a provider's host, directly or through a proxy.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

use super::proxy::Proxy;
use super::resolver::{MAX_ADDRESSES, Resolver};

/// How long connecting may take: a second for each of the addresses that the resolver returns for a
/// family, because the connector divides the time among them.
const CONNECT: Duration = Duration::from_secs(MAX_ADDRESSES as u64);

type BoxError = Box<dyn Error + Send + Sync>;
type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Opens the connections of one client.
#[derive(Clone)]
pub(super) struct Connector {
    direct: HttpConnector<Resolver>,
    tunnel: Option<Tunnel<HttpConnector<Resolver>>>,
}

impl Connector {
    pub(super) fn new(resolver: Resolver, proxy: Option<&Proxy>) -> Self {
        let mut direct = HttpConnector::new_with_resolver(resolver);
        direct.enforce_http(false); // the connector around it adds TLS
        direct.set_nodelay(true);
        direct.set_connect_timeout(Some(CONNECT));
        let tunnel = proxy.map(|proxy| {
            let tunnel = Tunnel::new(proxy.uri.clone(), direct.clone());
            match &proxy.authorization {
                Some(authorization) => tunnel.with_auth(authorization.clone()),
                None => tunnel,
            }
        });
        Self { direct, tunnel }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response, BoxError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let url = Url::parse(&target.to_string()).ok();
        let uses_proxy = url.is_some_and(|url| Proxy::serves(&url));
        match self.tunnel.as_mut().filter(|_| uses_proxy) {
            Some(tunnel) => {
                let connecting = tunnel.call(target);
                Box::pin(async { connecting.await.map_err(Into::into) })
            }
            None => {
                let connecting = self.direct.call(target);
                Box::pin(async { connecting.await.map_err(Into::into) })
            }
        }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<std::net::SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().resolve(name.as_str().to_owned()))
    }
}
