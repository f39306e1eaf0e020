//! `/api/v1/categories`.

use axum::{Router, response::IntoResponse};
use http::{StatusCode, header};
use model::CategoryId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{
    Caller, Json, Page, PageQuery, Path, Query, Result, Submitted, Viewer, WrittenJson, get, openapi::IdempotencyKey,
    post,
};

use super::products::ProductPage;
use crate::{
    categories,
    category::{Branch, Category, CategoryChange, NewCategory},
    product::Filter,
    products,
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/v1/categories", post(create).merge(get(list)))
        .route("/api/v1/categories/tree", get(tree))
        .route("/api/v1/categories/{id}", get(show).merge(web::put(update)).merge(web::delete(remove)))
        .route("/api/v1/categories/{id}/products", get(list_products))
}

/// 201 with the category and its address. 403 unless the caller sells, 409 when the slug is taken.
#[utoipa::path(
    post,
    path = "/api/v1/categories",
    operation_id = "createCategory",
    params(IdempotencyKey),
    request_body = NewCategory,
    responses(
        (status = 201, body = Category, headers(("Location" = String, description = "The address of the category."))),
        (status = 409, description = "`slug-taken`, `too-many-categories` or `category-too-deep`.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn create(caller: Caller, submitted: Submitted<NewCategory>) -> Result<impl IntoResponse> {
    #[derive(Deserialize)]
    struct Created {
        id: CategoryId,
    }
    let answer = categories::create(&caller, submitted).await?;
    let Created { id } = serde_json::from_str(answer.body())?;
    Ok(([(header::LOCATION, format!("/api/v1/categories/{id}"))], answer))
}

/// A page of all categories, by id.
#[utoipa::path(
    get,
    path = "/api/v1/categories",
    operation_id = "listCategories",
    params(PageQuery),
    responses((status = 200, body = Page<Category>))
)]
async fn list(Query(page): Query<PageQuery>) -> Result<Json<Page<Category>>> {
    categories::list(&page).await.map(Json)
}

#[derive(Serialize, ToSchema)]
#[schema(as = CategoryTree)]
struct Tree {
    /// Those at the top.
    #[schema(example = json!([{"id": 1, "parentId": null, "name": "Kitchen", "slug": "kitchen", "description": "", "createdAt": "2026-11-23T08:00:00.000Z", "updatedAt": "2026-11-23T08:00:00.000Z", "children": []}]))]
    items: Vec<Branch>,
}

/// All categories, each with its `children`, by name.
#[utoipa::path(
    get,
    path = "/api/v1/categories/tree",
    operation_id = "getCategoryTree",
    responses((status = 200, body = Tree))
)]
async fn tree() -> Result<Json<Tree>> {
    Ok(Json(Tree { items: categories::tree().await? }))
}

/// A category, and where it is.
#[derive(Serialize, ToSchema)]
#[schema(as = CategoryWithPath)]
struct Shown {
    #[serde(flatten)]
    category: Category,
    /// From the top to the category itself.
    path: Vec<Step>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CategoryStep)]
struct Step {
    /// Its id.
    id: CategoryId,
    /// Its name.
    #[schema(example = "Kitchen")]
    name: String,
    /// Its name in addresses.
    #[schema(example = "kitchen")]
    slug: String,
}

/// One category.
#[utoipa::path(
    get,
    path = "/api/v1/categories/{id}",
    operation_id = "getCategory",
    params(("id" = CategoryId, Path)),
    responses((status = 200, body = Shown))
)]
async fn show(Path(id): Path<CategoryId>) -> Result<Json<Shown>> {
    let mut line = categories::find(id).await?;
    let step = |category: &Category| Step { id: category.id, name: category.name.clone(), slug: category.slug.clone() };
    let path = line.iter().rev().map(step).collect();
    Ok(Json(Shown { category: line.swap_remove(0), path }))
}

/// The products of a category and of all below it: as `GET /products?categoryId=`.
#[utoipa::path(
    get,
    path = "/api/v1/categories/{id}/products",
    operation_id = "listProductsOfCategory",
    params(("id" = CategoryId, Path), PageQuery, Filter),
    responses(
        (status = 200, body = ProductPage),
        (status = 403, description = "The products that are not for sale are shown to their supplier and admins.")
    ),
    security((), ("bearer" = []))
)]
async fn list_products(
    viewer: Viewer,
    Path(id): Path<CategoryId>,
    Query(page): Query<PageQuery>,
    Query(filter): Query<Filter>,
) -> Result<WrittenJson> {
    categories::find(id).await?;
    products::list(&viewer, &page, filter.within(id)).await
}

/// 200 with the category as it is now; what the body leaves out stays. 403 but for admins, 409 when it would be below
/// itself.
#[utoipa::path(
    put,
    path = "/api/v1/categories/{id}",
    operation_id = "updateCategory",
    params(("id" = CategoryId, Path)),
    request_body = CategoryChange,
    responses(
        (status = 200, body = Category),
        (status = 409, description = "`slug-taken`, `category-circle` or `category-too-deep`.")
    ),
    security(("bearer" = ["admin"]))
)]
async fn update(
    caller: Caller,
    Path(id): Path<CategoryId>,
    Json(change): Json<CategoryChange>,
) -> Result<Json<Category>> {
    categories::update(&caller, id, change).await.map(Json)
}

/// 204. 403 but for admins, 409 when something is in it.
#[utoipa::path(
    delete,
    path = "/api/v1/categories/{id}",
    operation_id = "deleteCategory",
    params(("id" = CategoryId, Path)),
    responses(
        (status = 204),
        (status = 409, description = "`category-not-empty`: it has categories or products: move them first.")
    ),
    security(("bearer" = ["admin"]))
)]
async fn remove(caller: Caller, Path(id): Path<CategoryId>) -> Result<StatusCode> {
    categories::remove(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
