//! `/api/v1/categories`.

use axum::{Router, response::IntoResponse};
use http::{StatusCode, header};
use model::CategoryId;
use serde::{Deserialize, Serialize};
use web::{Caller, Json, Page, PageQuery, Path, Query, Result, Submitted, Viewer, WrittenJson, get, post};

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
async fn list(Query(page): Query<PageQuery>) -> Result<Json<Page<Category>>> {
    categories::list(&page).await.map(Json)
}

#[derive(Serialize)]
struct Tree {
    items: Vec<Branch>,
}

/// All categories, each with its `children`, by name.
async fn tree() -> Result<Json<Tree>> {
    Ok(Json(Tree { items: categories::tree().await? }))
}

/// A category, and where it is.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    category: Category,
    /// From the top to the category itself.
    path: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    id: CategoryId,
    name: String,
    slug: String,
}

/// One category.
async fn show(Path(id): Path<CategoryId>) -> Result<Json<Shown>> {
    let mut line = categories::find(id).await?;
    let step = |category: &Category| Step { id: category.id, name: category.name.clone(), slug: category.slug.clone() };
    let path = line.iter().rev().map(step).collect();
    Ok(Json(Shown { category: line.swap_remove(0), path }))
}

/// The products of a category and of all below it: as `GET /products?categoryId=`.
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
async fn update(
    caller: Caller,
    Path(id): Path<CategoryId>,
    Json(change): Json<CategoryChange>,
) -> Result<Json<Category>> {
    categories::update(&caller, id, change).await.map(Json)
}

/// 204. 403 but for admins, 409 when something is in it.
async fn remove(caller: Caller, Path(id): Path<CategoryId>) -> Result<StatusCode> {
    categories::remove(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
