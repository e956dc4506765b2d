//! Starts the example on the address in `ADDR`.

use example_pages::Guards;
use rocket::Config;
use rocket::fairing::AdHoc;

#[rocket::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let (guards, _watch) = Guards::from_env()?;
    let address = example_pages::address()?;
    let config = Config {
        address: address.ip(),
        port: address.port(),
        ..example_rocket_comments::config()
    };
    let print_address = AdHoc::on_liftoff("address", |rocket| {
        Box::pin(async move {
            let Config { address, port, .. } = rocket.config();
            #[allow(clippy::print_stdout, reason = "the output of a command-line program")]
            {
                println!("http://{address}:{port}");
            }
        })
    });
    let rocket = example_rocket_comments::rocket(guards, config).attach(print_address);
    rocket
        .launch()
        .await
        .map(|_| ())
        .map_err(|error| error.to_string().into())
}
