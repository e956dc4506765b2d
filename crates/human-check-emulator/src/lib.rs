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

/// An HTTP server that emulates the services of all supported providers.
///
/// The server runs as a task of the Tokio runtime that started it. Dropping the emulator ends the
/// task and closes every connection. Each emulator has its own port, tokens, faults and settings,
/// so tests that run at the same time do not affect each other.
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
    /// Starts an emulator on a free port of `127.0.0.1`, with the clock of the operating system.
    ///
    /// # Errors
    ///
    /// Returns the error of the operating system when no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_with(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SystemClock).await
    }

    /// Starts an emulator on a free port of `127.0.0.1`, with a clock that the test controls.
    ///
    /// The clock decides when tokens were issued and when they expire, so a test can let a token
    /// expire without waiting. Delays of a [`Fault`] take real time.
    ///
    /// ```
    /// use human_check_emulator::Emulator;
    /// use human_check_testkit::ManualClock;
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let clock = ManualClock::starting_now();
    /// let emulator = Emulator::start_at(clock.clone()).await.unwrap();
    /// clock.advance(Duration::from_secs(301)); // every token minted so far has expired
    /// # drop(emulator);
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the error of the operating system when no port can be bound.
    pub async fn start_at(clock: impl Clock) -> std::io::Result<Self> {
        Self::start_with(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), clock).await
    }

    /// Starts an emulator at `address`, with the given clock. Port 0 selects a free port.
    ///
    /// Use a loopback address. The emulator gives tokens to every client that can connect.
    ///
    /// # Errors
    ///
    /// Returns the error of the operating system when the address cannot be bound, for example
    /// because another program uses it.
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

    /// Returns the address that the emulator listens on, with its actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base of all URLs of the emulator, such as `http://127.0.0.1:8765`, without a
    /// slash at the end.
    ///
    /// For an emulator that listens on all addresses (`0.0.0.0` or `::`), the URL names
    /// `127.0.0.1`, because the provider clients allow plain HTTP to loopback addresses only.
    pub fn base_url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    /// Mints a token, as if a visitor had used the provider's widget.
    ///
    /// The emulator keeps the latest 100,000 tokens, see [`Knobs::max_tokens`].
    ///
    /// # Errors
    ///
    /// Returns a [`MintError`] when the emulator has no such provider or account, when a value is
    /// out of range, or when CaptchaLa refuses the server token.
    pub fn mint(&self, mint: &Mint) -> Result<String, MintError> {
        self.state().mint(mint)
    }

    /// Applies `fault` to the next `times` requests to the providers; with `None`, to all further
    /// requests until [`Emulator::heal`].
    ///
    /// Faults queue: the next fault starts when the one before it is used up. The queue holds
    /// 1,000 faults, and a fault beyond that is ignored. Widget scripts and the control API are not
    /// affected.
    pub fn fail(&self, fault: Fault, times: Option<usize>) {
        let _is_queued = self.state().faults.push(fault, times);
    }

    /// Removes all faults, so that the providers work again.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Changes the settings of the services.
    ///
    /// ```
    /// # use human_check_emulator::Emulator;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let emulator = Emulator::start().await.unwrap();
    /// emulator.configure(|knobs| knobs.quota_used_up = true);
    /// # });
    /// ```
    pub fn configure(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.state().knobs);
    }

    /// Adds an account with a provider, beside the built-in ones.
    pub fn add_account(&self, account: EmulatedAccount) {
        self.state().accounts.push(account);
    }

    /// Returns the requests that the providers received, oldest first.
    ///
    /// These are the last 10,000 requests, see [`Knobs::max_requests`], each with the first 16 KiB of its body. Requests of
    /// browsers for widget scripts and frames are among them. Requests to the control API are not,
    /// except those that followed a [`Fault::Redirect`].
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state().requests.iter().cloned().collect()
    }

    /// Returns the number of TCP connections that clients have opened since the start.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Emulator {
    /// Stops the server and closes its connections.
    fn drop(&mut self) {
        self.server.abort();
    }
}
