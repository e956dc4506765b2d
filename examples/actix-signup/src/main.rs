//! Starts the example on the address in `ADDR`.

use example_pages::Guards;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let (guards, _watch) = Guards::from_env()?;
    let listener = example_pages::listen()?;
    #[allow(clippy::print_stdout, reason = "the output of a command-line program")]
    {
        println!("http://{}", listener.local_addr()?);
    }
    Ok(example_actix_signup::server(guards, listener)?.await?)
}
