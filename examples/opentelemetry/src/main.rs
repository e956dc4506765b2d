//! Starts the application of the example `migrate-providers`, with its spans exported to the collector
//! in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`. Its metrics are at `/metrics`, where the collector's
//! receiver for Prometheus scrapes them.

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = std::env::var("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    let endpoint = endpoint.unwrap_or_else(|_| "http://127.0.0.1:4318/v1/traces".to_owned());
    let (spans, provider) = example_opentelemetry::layer("sign-up", &endpoint)?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::registry()
        .with(filter)
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr))
        .with(spans)
        .init();
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let file = std::env::args().nth(1);
    let file = file.unwrap_or_else(|| "examples/migrate-providers/human-check.toml".to_owned());
    let deployment = example_migrate_providers::load(&file)?;
    let _watch = deployment.watch();
    let listener = example_pages::listen()?;
    #[allow(clippy::print_stdout, reason = "the output of a command-line program")]
    {
        println!("http://{}", listener.local_addr()?);
    }
    let app = example_migrate_providers::app(&deployment, metrics)?;
    tokio::select! {
        served = example_migrate_providers::serve(app, listener) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    // The last spans are sent by a thread that a runtime must not wait for.
    tokio::task::spawn_blocking(move || provider.shutdown()).await??;
    Ok(())
}
