//! A real PostgreSQL server on a random loopback port. Dropping it ends the processes and removes
//! its directory.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use human_check_core::Secret;
use human_check_postgres::PostgresReplayStore;
use sqlx::PgPool;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct-horse";

pub(crate) fn secret() -> Secret {
    Secret::new("the-secret-of-all-machines").unwrap()
}

pub(crate) struct Server {
    pub(crate) port: u16,
    directory: TempDir,
}

/// Returns where the programs of the server are: in the folder of the variable
/// `HUMAN_CHECK_POSTGRES_BIN`, where Debian has them, or on the path.
fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("HUMAN_CHECK_POSTGRES_BIN") {
        return Path::new(&folder).join(name);
    }
    let of_debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let of_debian =
        of_debian.filter_map(|version| Some(version.ok()?.path().join("bin").join(name)));
    let newest = of_debian.filter(|path| path.exists()).max();
    newest.unwrap_or_else(|| name.into())
}

/// Runs a program of the server, as the user `postgres` where this user is root, whom the server
/// refuses.
fn run(name: &str, arguments: &[&str]) -> Output {
    let program = program(name);
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = match is_root {
        true => {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        }
        false => Command::new(&program),
    };
    let output = command.args(arguments).current_dir("/").output();
    output.unwrap_or_else(|error| {
        panic!(
            "cannot run {} ({error}); install PostgreSQL, on Debian: apt-get install postgresql",
            program.display()
        )
    })
}

fn expect(name: &str, arguments: &[&str]) {
    let output = run(name, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with further settings, such as `max_connections=10`.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let mut server = Self::empty();
        let password = server.directory.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let (data, password) = (server.data(), password.display().to_string());
        expect(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "postgres",
                "-A",
                "scram-sha-256",
                "--pwfile",
                &password,
                "-E",
                "UTF8",
                "--no-sync",
            ],
        );
        server.begin(settings);
        server
    }

    /// Starts a standby of another server.
    pub(crate) fn standby_of(primary: &Self) -> Self {
        let mut server = Self::empty();
        let from = format!(
            "host=127.0.0.1 port={} user=postgres password={PASSWORD}",
            primary.port
        );
        expect(
            "pg_basebackup",
            &["-D", &server.data(), "-d", &from, "-R", "-c", "fast"],
        );
        server.begin(&[]);
        server
    }

    /// Starts the server on a free port, and on another one if that was taken meanwhile.
    fn begin(&mut self, settings: &[&str]) {
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            self.port = free.local_addr().unwrap().port();
            drop(free);
            self.configure(settings);
            if self.try_launch().status.success() {
                return;
            }
        }
        self.launch();
    }

    fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The server may run as another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(directory.path(), open).unwrap();
        Self { port: 0, directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    fn configure(&self, settings: &[&str]) {
        let mut lines = vec![
            format!("port={}", self.port),
            "listen_addresses='127.0.0.1'".to_owned(),
            "unix_socket_directories=''".to_owned(),
        ];
        lines.extend(settings.iter().map(|line| (*line).to_owned()));
        let file = self
            .directory
            .path()
            .join("data")
            .join("postgresql.auto.conf");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, before + "\n" + &lines.join("\n") + "\n").unwrap();
    }

    pub(crate) fn launch(&self) {
        let output = self.try_launch();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "the server does not start: {said}");
    }

    fn try_launch(&self) -> Output {
        let log = self.directory.path().join("log").display().to_string();
        let (data, limit) = (self.data(), "30");
        run(
            "pg_ctl",
            &["-D", &data, "-l", &log, "-w", "-t", limit, "start"],
        )
    }

    /// Ends the processes without a shutdown, as a failure does.
    pub(crate) fn kill(&self) {
        expect("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }

    /// Gives a file in the folder of the server the owner of the folder, and closes it to others.
    pub(crate) fn own_file(&self, name: &str) {
        let (data, file) = (
            self.directory.path().join("data"),
            self.directory.path().join("data").join(name),
        );
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&data).unwrap());
        std::os::unix::fs::chown(&file, Some(owner), None).unwrap();
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, closed).unwrap();
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        expect("pg_ctl", &["-D", &self.data(), "-w", "promote"]);
    }

    pub(crate) fn url(&self) -> Secret {
        self.url_as("postgres", PASSWORD, "postgres")
    }

    pub(crate) fn url_as(&self, user: &str, password: &str, database: &str) -> Secret {
        let url = format!(
            "postgres://{user}:{password}@127.0.0.1:{}/{database}",
            self.port
        );
        Secret::new(url).unwrap()
    }

    /// Returns a store whose table does not exist yet.
    pub(crate) fn store(&self) -> PostgresReplayStore {
        PostgresReplayStore::new(&self.url(), &secret()).unwrap()
    }

    /// Returns a store with its table.
    pub(crate) async fn store_with_table(&self) -> PostgresReplayStore {
        let store = self.store();
        store.create_table().await.unwrap();
        store
    }

    /// Returns connections apart from those of the stores.
    pub(crate) async fn pool(&self) -> PgPool {
        PgPool::connect(self.url().expose()).await.unwrap()
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) {
        sqlx::raw_sql(sql)
            .execute(&self.pool().await)
            .await
            .unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
        // The files of another user.
        // Root removes the files of the other user with the directory.
    }
}
