//! What the OpenAPI document of this service says of older shops.

use utoipa::{OpenApi, openapi::OpenApi as Document};

use super::{cart_shop, items, micro, order_desk};

#[derive(OpenApi)]
#[openapi(
    paths(items::register, items::log_in, items::me, items::account, items::update),
    tags((name = "classic: items", description = "."))
)]
struct Items;

#[derive(OpenApi)]
#[openapi(
    paths(cart_shop::register, cart_shop::log_in, cart_shop::validate),
    tags((name = "classic: cart shop", description = "."))
)]
struct CartShop;

#[derive(OpenApi)]
#[openapi(
    paths(
        order_desk::register,
        order_desk::log_in,
        order_desk::profile,
        order_desk::list,
        order_desk::find,
        order_desk::update,
        order_desk::delete
    ),
    tags((name = "classic: order desk", description = "."))
)]
struct OrderDesk;

#[derive(OpenApi)]
#[openapi(
    paths(
        micro::sign_up,
        micro::forgot_password,
        micro::reset_password,
        micro::change_password,
        micro::session,
        micro::list,
        micro::add,
        micro::find,
        micro::update,
        micro::delete
    ),
    tags((name = "classic: micro", description = "."))
)]
struct Micro;

pub(crate) fn apis() -> [Document; 4] {
    [Items::openapi(), CartShop::openapi(), OrderDesk::openapi(), Micro::openapi()]
}
