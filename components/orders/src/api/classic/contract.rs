//! The parts of the OpenAPI document that older shops share.

use utoipa::{OpenApi, openapi};

use super::{bare, desk};

#[derive(OpenApi)]
#[openapi(
    paths(desk::list_of_user, desk::change, desk::cancel),
    tags((name = "classic: items"))
)]
struct Items;

#[derive(OpenApi)]
#[openapi(
    paths(desk::place, desk::get, desk::list_mine, desk::list_all),
    tags((name = "classic: order desk"))
)]
struct OrderDesk;

#[derive(OpenApi)]
#[openapi(
    paths(bare::get_order, bare::list_orders, bare::update, bare::delete),
    tags((name = "classic: cart shop"))
)]
struct CartShop;

#[derive(OpenApi)]
#[openapi(
    paths(bare::place, bare::list_mine, bare::list_of_user, bare::get, bare::cancel, bare::set_status),
    tags((name = "classic: micro"))
)]
struct Micro;

/// One for each family.
pub(crate) fn apis() -> [openapi::OpenApi; 4] {
    [Items::openapi(), OrderDesk::openapi(), CartShop::openapi(), Micro::openapi()]
}
