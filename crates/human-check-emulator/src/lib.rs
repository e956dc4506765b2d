#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod browser;
mod captchala;
mod control;
mod emulated_account;
mod enterprise;
mod fault;
mod generic;
mod hcaptcha;
mod http;
mod kept;
mod mint;
mod recaptcha;
mod server;
mod state;
mod turnstile;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use human_check_core::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use emulated_account::{EmulatedAccount, PROJECT, SERVICE_ACCOUNT_EMAIL, service_account_file};
pub use fault::Fault;
pub use http::RecordedRequest;
pub use mint::{Mint, MintError};
pub use state::{CaptchaLaShape, Knobs};

use state::State;

/// The emulator, running until it is dropped.
///
/// ```
/// use human_check_emulator::{Emulator, Mint};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let emulator = Emulator::start().await.unwrap();
/// let token = emulator.mint(&Mint::for_provider("turnstile").with_action("login")).unwrap();
/// println!("verify {token} at {}/turnstile/v0/siteverify", emulator.base_url());
/// # });
/// ```
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Emulator {
    /// Starts on a free loopback port, with the system's clock.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_with(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SystemClock).await
    }

    /// Starts on a free loopback port, with a clock of the test's.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start_at(clock: impl Clock) -> std::io::Result<Self> {
        Self::start_with(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), clock).await
    }

    /// Starts at an address of choice.
    ///
    /// # Errors
    ///
    /// When it is taken.
    pub async fn start_with(address: SocketAddr, clock: impl Clock) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::new(Arc::new(clock))));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            server,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of all its URLs, without a slash at the end. One that listens everywhere is named by
    /// its loopback address, since that is where plain HTTP may go.
    pub fn base_url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    /// Makes a token, as if a visitor had met the widget.
    ///
    /// # Errors
    ///
    /// [`MintError`] when there is no such provider or site, or a server token forbids it.
    pub fn mint(&self, mint: &Mint) -> Result<String, MintError> {
        self.state().mint(mint)
    }

    /// Misbehaves for the next `times` requests to a provider, or for ever with `None`. Up to a thousand such
    /// orders wait for their turn, and further ones are lost.
    pub fn fail(&self, fault: Fault, times: Option<usize>) {
        let _there_was_room = self.state().faults.push(fault, times);
    }

    /// Behaves again.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Turns the knobs.
    pub fn configure(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.state().knobs);
    }

    /// Adds a site of a provider.
    pub fn add_account(&self, site: EmulatedAccount) {
        self.state().sites.push(site);
    }

    /// The requests to providers so far, oldest first; the last ten thousand of them, with the first 16 KiB
    /// of each body.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state().seen.iter().cloned().collect()
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}
