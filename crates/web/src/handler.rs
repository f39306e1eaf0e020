//! Routes to plain `async fn`s. axum wants futures that can move between threads; a component has one thread and the
//! SDK's futures cannot move. Here, and only here, they are wrapped.

use std::{future::Future, pin::Pin};

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    handler::Handler,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use send_wrapper::SendWrapper;

use crate::metrics;

/// An `async fn` whose future stays on this thread.
#[derive(Clone)]
pub struct Local<F>(F);

macro_rules! handler {
    ($($part:ident)* ; $last:ident) => {
        impl<F, Fut, Answer, Kind, $($part,)* $last> Handler<(Kind, $($part,)* $last,), ()> for Local<F>
        where
            F: FnOnce($($part,)* $last) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Answer>,
            Answer: IntoResponse,
            $($part: FromRequestParts<()> + Send,)*
            $last: FromRequest<(), Kind> + Send,
        {
            type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

            #[allow(non_snake_case)]
            fn call(self, request: Request, _state: ()) -> Self::Future {
                metrics::met(request.extensions());
                Box::pin(SendWrapper::new(async move {
                    #[allow(unused_mut)]
                    let (mut parts, body) = request.into_parts();
                    $(let $part = match $part::from_request_parts(&mut parts, &()).await {
                        Ok(value) => value,
                        Err(rejection) => return rejection.into_response(),
                    };)*
                    let $last = match $last::from_request(Request::from_parts(parts, body), &()).await {
                        Ok(value) => value,
                        Err(rejection) => return rejection.into_response(),
                    };
                    (self.0)($($part,)* $last).await.into_response()
                }))
            }
        }
    };
}

handler!(; A);
handler!(A; B);
handler!(A B; C);
handler!(A B C; D);
handler!(A B C D; E);

/// The marker of a handler that takes nothing.
pub struct Nothing;

impl<F, Fut, Answer> Handler<(Nothing,), ()> for Local<F>
where
    F: FnOnce() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer>,
    Answer: IntoResponse,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, _state: ()) -> Self::Future {
        metrics::met(request.extensions());
        Box::pin(SendWrapper::new(async move { (self.0)().await.into_response() }))
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident),+) => {$(
        $(#[$doc])*
        pub fn $method<F, Kind>(handler: F) -> MethodRouter
        where
            Local<F>: Handler<Kind, ()>,
            Kind: 'static,
        {
            axum::routing::$method(Local(handler))
        }
    )+};
}

methods! {
    /// `GET` to an `async fn`.
    get,
    /// `POST` to an `async fn`.
    post,
    /// `PUT` to an `async fn`.
    put,
    /// `PATCH` to an `async fn`.
    patch,
    /// `DELETE` to an `async fn`.
    delete
}
