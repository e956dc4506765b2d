use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;

use human_check_guard::RequestHead;
use rocket::Request;
use rocket::request::{FromRequest, Outcome};

use crate::Head;

/// The head of the request for a page, for handlers that select the account which the page shows.
///
/// It is a request guard that copies the head, because a handler of Rocket cannot take the request
/// itself.
///
/// ```
/// use human_check_rocket::{Guard, PageHead};
/// use rocket::response::content::RawHtml;
/// use rocket::{State, get};
///
/// #[get("/signup")]
/// fn page(guard: &State<Guard>, head: PageHead) -> RawHtml<String> {
///     let captcha = guard.select(&head).html();
///     RawHtml(format!("<form method=\"post\">{captcha}<button>Sign up</button></form>"))
/// }
/// # fn main() {}
/// ```
///
/// `Debug` shows method and host. The query and the headers may hold tokens and cookies.
#[derive(Clone)]
pub struct PageHead {
    method: String,
    peer: Option<IpAddr>,
    host: Option<String>,
    query: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
}

impl fmt::Debug for PageHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageHead")
            .field("method", &self.method)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for PageHead {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Infallible> {
        let head = Head(request);
        let mut headers = Vec::new();
        head.headers(&mut |name, value| headers.push((name.to_owned(), value.to_vec())));
        Outcome::Success(Self {
            method: head.method().to_owned(),
            peer: head.peer(),
            host: head.host(),
            query: head.query().map(str::to_owned),
            headers,
        })
    }
}

impl RequestHead for PageHead {
    fn method(&self) -> &str {
        &self.method
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    fn host(&self) -> Option<String> {
        self.host.clone()
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in &self.headers {
            line(name, value);
        }
    }
}
