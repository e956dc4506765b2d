//! Exports the spans of tracing by OpenTelemetry: those of decisions and of calls of providers.

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// Returns a layer of tracing that sends spans to the collector at `endpoint`, such as
/// `http://127.0.0.1:4318/v1/traces`, and the provider whose `shutdown` sends the last of them.
///
/// # Errors
///
/// [`ExporterBuildError`] when the endpoint is no URL.
pub fn layer<S>(
    service: &'static str,
    endpoint: &str,
) -> Result<(OpenTelemetryLayer<S, SdkTracer>, SdkTracerProvider), ExporterBuildError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // The client of the exporter needs it where another crate builds that client with rustls. An error means
    // that the program has installed one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(service).build())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("human-check"));
    Ok((layer, provider))
}
