//! Starts the example on the address in `ADDR`, with the configuration file named on the command
//! line.

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let default = "info,human_check=debug,human_check_guard=debug";
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into()))
        .with_writer(std::io::stderr)
        .init();
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let file = std::env::args().nth(1);
    let file = file.unwrap_or_else(|| "examples/migrate-providers/human-check.toml".to_owned());
    let deployment = example_migrate_providers::load(&file)?;
    let _watch = deployment.watch();
    let listener = example_pages::listen()?;
    #[allow(clippy::print_stdout, reason = "the output of a command-line program")]
    {
        print!("{}", deployment.summary());
        println!("http://{}", listener.local_addr()?);
    }
    let app = example_migrate_providers::app(&deployment, metrics)?;
    Ok(example_migrate_providers::serve(app, listener).await?)
}
