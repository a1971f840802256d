"""Models as people write them, each with what is meant by @input, @hidden and @output."""

from __future__ import annotations

import functools
import warnings

import numpy as np

try:
    from pytensor.tensor.random.utils import RandomStream
    from pytensor.tensor.signal import convolve2d
    from pytensor.tensor.special import softmax as softmax_along

    from regplug.engine import pytensor as engine
except ImportError:
    from theano.tensor.shared_randomstreams import RandomStreams
    from theano.tensor.signal.pool import pool_2d

    from regplug.engine import theano as engine

__all__ = ["MODELS", "MORE"]

T = engine.T
IS_THEANO = engine.__name__.endswith("theano")
RNG = np.random.RandomState(0)
MODELS = {}
# written when the rule stood
MORE = {}


def softmax(x):
    return T.nnet.softmax(x) if IS_THEANO else softmax_along(x, axis=-1)


def scan(*args, **options):
    """Return what a scan computes, without its updates."""
    if IS_THEANO:
        return engine.scan(*args, **options)[0]
    return engine.scan(*args, **options, return_updates=False)


def conv(x, k):
    """Convolve (batch, in, height, width) with (out, in, height, width)."""
    if IS_THEANO:
        return T.nnet.conv2d(x, k)
    return convolve2d(x[:, None], k[None], mode="valid").sum(axis=2)


def streams(seed):
    return (RandomStreams if IS_THEANO else RandomStream)(seed)


def P(name, *shape):
    """Return a parameter."""
    return engine.shared(RNG.randn(*shape) * 0.3, name=name)


def N(name, variable):
    """Name a variable."""
    variable.name = name
    return variable


def sig(x):
    return 1 / (1 + T.exp(-x))


def relu(x):
    return T.maximum(x, 0)


def xt():
    return T.matrix("x"), T.matrix("t")


def quiet(build):
    @functools.wraps(build)
    def built():
        # RandomStream is deprecated from PyTensor 3.3
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build()

    return built


def model(build):
    """Note a function: it returns the root or roots, and the three roles' names."""
    MODELS[build.__name__] = quiet(build)


def more(build):
    MORE[build.__name__] = quiet(build)


@model
def mlp_cost():
    x, t = xt()
    h = N("h", T.tanh(T.dot(x, P("W1", 5, 6)) + P("b1", 6)))
    y = N("y", T.dot(h, P("W2", 6, 2)) + P("b2", 2))
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def mlp_prediction():
    x, t = xt()
    h = N("h", T.tanh(T.dot(x, P("W1", 5, 6)) + P("b1", 6)))
    y = N("y", T.dot(h, P("W2", 6, 2)) + P("b2", 2))
    return y, "x", "h", "y"


@model
def mlp_deep_unnamed_cost():
    x, t = xt()
    a = N("a", relu(T.dot(x, P("W1", 5, 6))))
    b = N("b", relu(T.dot(a, P("W2", 6, 6))))
    y = N("y", softmax(T.dot(b, P("W3", 6, 2))))
    return -T.log(y * t + 1e-9).mean(), "x", "a b", "y"


@model
def softmax_by_hand():  # Newmu
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W1", 5, 6))))
    logits = N("logits", T.dot(h, P("W2", 6, 3)))
    e = T.exp(logits - logits.max(axis=1, keepdims=True))
    p = N("p", e / e.sum(axis=1, keepdims=True))
    return N("cost", -(t * T.log(p)).sum(axis=1).mean()), "x", "h", "p"


@model
def preactivations_named():
    x, t = xt()
    z1 = N("z1", T.dot(x, P("W1", 5, 6)) + P("b1", 6))
    h1 = N("h1", relu(z1))
    z2 = N("z2", T.dot(h1, P("W2", 6, 3)) + P("b2", 3))
    p = N("p", softmax(z2))
    return N("nll", -(t * T.log(p)).sum()), "x", "h1", "p"


@model
def layer_norm_by_hand():
    x, t = xt()
    a = N("a", T.dot(x, P("W1", 5, 6)))
    mu = N("mu", a.mean(axis=1, keepdims=True))
    sd = N("sd", a.std(axis=1, keepdims=True))
    n = N("norm", P("g", 6) * (a - mu) / (sd + 1e-5) + P("b", 6))
    h = N("h", relu(n))
    y = N("y", T.dot(h, P("W2", 6, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def layer_norm_engine_names():
    x, t = xt()
    a = N("a", T.dot(x, P("W1", 5, 6)))
    n = (a - a.mean(axis=1, keepdims=True)) / (a.std(axis=1, keepdims=True) + 1e-5)
    y = N("y", T.dot(relu(n), P("W2", 6, 2)))
    return ((y - t) ** 2).mean(), "x", "a", "y"


@model
def layer_norm_dimshuffled_stats():
    x, t = xt()
    a = N("a", T.dot(x, P("W1", 5, 6)))
    m = N("m", a.mean(axis=1))
    v = N("v", ((a - m.dimshuffle(0, "x")) ** 2).mean(axis=1))
    n = (a - m.dimshuffle(0, "x")) / T.sqrt(v.dimshuffle(0, "x") + 1e-5)
    y = N("y", T.dot(relu(n), P("W2", 6, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "a", "y"


@model
def batch_norm():
    x, t = xt()
    fc = N("fc1", T.dot(x, P("W1", 5, 6)) + P("b1", 6))
    mean = N("mean", fc.mean(axis=0))
    var = N("var", fc.var(axis=0))
    bn = N("bn1", P("gamma", 6) * (fc - mean) / T.sqrt(var + 1e-5) + P("beta", 6))
    h = N("act1", relu(bn))
    y = N("out", softmax(T.dot(h, P("W2", 6, 3))))
    return N("loss", -(t * T.log(y)).sum(axis=1).mean()), "x", "act1", "out"


@model
def batch_norm_at_output():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W1", 5, 6))))
    fc = N("fc", T.dot(h, P("W2", 6, 3)))
    y = N(
        "y",
        P("gamma", 3) * (fc - fc.mean(axis=0)) / T.sqrt(fc.var(axis=0) + 1e-5)
        + P("beta", 3),
    )
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def autoencoder_tied():
    x = T.matrix("x")
    W = P("W", 5, 3)
    h = N("h", sig(T.dot(x, W) + P("bh", 3)))
    z = N("z", sig(T.dot(h, W.T) + P("bv", 5)))
    L = -(x * T.log(z) + (1 - x) * T.log(1 - z)).sum(axis=1)
    return L.mean(), "x", "h", "z"


@model
def autoencoder_named_loss():  # the dA tutorial, with the loss of each sample named
    x = T.matrix("x")
    W = P("W", 5, 3)
    h = N("h", sig(T.dot(x, W) + P("bh", 3)))
    z = N("z", sig(T.dot(h, W.T) + P("bv", 5)))
    L = N("L", -(x * T.log(z) + (1 - x) * T.log(1 - z)).sum(axis=1))
    return N("cost", L.mean()), "x", "h", "z"


@model
def denoising_autoencoder():
    x = T.matrix("x")
    rng = streams(1)
    W = P("W", 5, 3)
    tilde = N(
        "tilde_x",
        x * rng.binomial(size=x.shape, n=1, p=0.7)
        if IS_THEANO
        else x * rng.binomial(1, 0.7, size=x.shape),
    )
    h = N("h", sig(T.dot(tilde, W)))
    z = N("z", sig(T.dot(h, W.T)))
    return N("cost", ((z - x) ** 2).mean()), "x", "h", "z"


@model
def lstm_mask():  # the LSTM tutorial: embedding, projection outside, gates by slices, mask, mean pooling
    x = T.lmatrix("x")
    mask = T.matrix("mask")
    y = T.lvector("y")
    E = P("Wemb", 9, 4)
    n = 4
    emb = N("emb", E[x.flatten()].reshape((x.shape[0], x.shape[1], 4)))
    W, U, b = P("lstm_W", 4, 16), P("lstm_U", 4, 16), P("lstm_b", 16)
    below = N("state_below", T.dot(emb, W) + b)

    def step(m_, x_, h_, c_):
        pre = T.dot(h_, U) + x_
        i, f, o, c = (
            sig(pre[:, :n]),
            sig(pre[:, n : 2 * n]),
            sig(pre[:, 2 * n : 3 * n]),
            T.tanh(pre[:, 3 * n :]),
        )
        c = f * c_ + i * c
        c = m_[:, None] * c + (1 - m_)[:, None] * c_
        h = o * T.tanh(c)
        h = m_[:, None] * h + (1 - m_)[:, None] * h_
        return h, c

    z = T.alloc(np.float64(0), x.shape[1], n)
    h, c = scan(step, sequences=[mask, below], outputs_info=[z, z])
    h.name = "h"
    proj = N("proj", (h * mask[:, :, None]).sum(axis=0) / mask.sum(axis=0)[:, None])
    p = N("p", softmax(T.dot(proj, P("V", 4, 2)) + P("c", 2)))
    return (
        N("cost", -T.log(p[T.arange(y.shape[0]), y] + 1e-8).mean()),
        "",
        "emb proj",
        "p",
    )


@model
def gru_inner_projection():
    x = T.tensor3("x")
    t = T.matrix("t")
    Wz, Uz, W, U = P("Wz", 3, 4), P("Uz", 4, 4), P("W", 3, 4), P("U", 4, 4)

    def step(x_, h_):
        z = sig(T.dot(x_, Wz) + T.dot(h_, Uz))
        return z * h_ + (1 - z) * T.tanh(T.dot(x_, W) + T.dot(h_, U))

    h = N("h", scan(step, sequences=[x], outputs_info=[T.zeros((x.shape[1], 4))]))
    last = N("last", h[-1])
    y = N("y", T.dot(last, P("V", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "last", "y"


@model
def rnn_to_sequence():  # a named sequence is sliced by the engine: 'x[0:]'
    x, t = T.tensor3("x"), T.tensor3("t")
    mask = T.matrix("mask")
    W, U = P("W", 3, 4), P("U", 4, 4)
    h = N(
        "h",
        scan(
            lambda x_, m_, h_: (
                m_[:, None] * T.tanh(T.dot(x_, W) + T.dot(h_, U))
                + (1 - m_)[:, None] * h_
            ),
            sequences=[x, mask],
            outputs_info=[T.zeros((x.shape[1], 4))],
            go_backwards=True,
        ),
    )
    y = N("y", T.dot(h, P("V", 4, 2)))
    return ((y - t) ** 2 * mask[:, :, None]).sum() / mask.sum(), "x", "h", "y"


@model
def attention_block():
    x, t = T.tensor3("x"), T.tensor3("t")
    Ws = [P(n, 4, 4) for n in ("Wq", "Wk", "Wv", "Wo")]
    q, k, v = (T.dot(x, W) for W in Ws[:3])
    q.name, k.name, v.name = "q", "k", "v"
    s = N("scores", (q[:, :, None, :] * k[:, None, :, :]).sum(axis=3) / 2.0)
    e = T.exp(s - s.max(axis=2, keepdims=True))
    a = N("att", e / e.sum(axis=2, keepdims=True))
    ctx = N("ctx", (a[:, :, :, None] * v[:, None, :, :]).sum(axis=2))
    r = N("r", x + T.dot(ctx, Ws[3]))
    y = N("y", T.dot(r, P("Wy", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "ctx r", "y"


@model
def transformer_prenorm():
    x, t = T.tensor3("x"), T.tensor3("t")

    def ln(v, i):
        return P(f"g{i}", 4) * (v - v.mean(axis=-1, keepdims=True)) / T.sqrt(
            v.var(axis=-1, keepdims=True) + 1e-5
        ) + P(f"be{i}", 4)

    e = N("emb", T.dot(x, P("We", 4, 4)))
    n1 = N("n1", ln(e, 1))
    r1 = N("r1", e + T.dot(T.tanh(T.dot(n1, P("Wa", 4, 4))), P("Wb", 4, 4)))
    n2 = N("n2", ln(r1, 2))
    ff = N("ff", relu(T.dot(n2, P("Wc", 4, 8))))
    r2 = N("r2", r1 + T.dot(ff, P("Wd", 8, 4)))
    nf = N("nf", ln(r2, 3))
    y = N("y", softmax(T.dot(nf, P("Wy", 4, 3)).reshape((-1, 3))))
    return N("cost", -T.log(y).mean() + 0 * t.sum()), "x", "n1 n2 ff nf", "y"


@model
def convnet_channels_first():
    x = T.tensor4("x")
    t = T.matrix("t")
    c1 = N(
        "conv1", conv(x, P("K1", 4, 2, 3, 3)) + P("b1", 4).dimshuffle("x", 0, "x", "x")
    )
    r1 = N("relu1", relu(c1))
    c2 = N("conv2", relu(conv(r1, P("K2", 3, 4, 3, 3))))
    f = N("flat", c2.flatten(2) if IS_THEANO else c2.reshape((c2.shape[0], -1)))
    y = N("y", softmax(T.dot(f, P("W", 12, 3))))
    return N("cost", -(t * T.log(y)).sum(axis=1).mean()), "x", "relu1 flat", "y"


@model
def convnet_global_pool():
    x = T.tensor4("x")
    t = T.matrix("t")
    r1 = N("relu1", relu(conv(x, P("K1", 4, 2, 3, 3))))
    g = N("pool", r1.mean(axis=(2, 3)))
    y = N("y", T.dot(g, P("W", 4, 3)))
    return N("cost", ((y - t) ** 2).mean()), "x", "pool", "y"


@model
def squeeze_excite():
    x = T.tensor4("x")
    t = T.matrix("t")
    r1 = N("relu1", relu(conv(x, P("K1", 4, 2, 3, 3))))
    s = N("squeeze", r1.mean(axis=(2, 3)))
    g = N("gate", sig(T.dot(s, P("Ws", 4, 4))))
    e = N("excited", r1 * g.dimshuffle(0, 1, "x", "x"))
    y = N("y", T.dot(e.mean(axis=(2, 3)), P("W", 4, 3)))
    return N("cost", ((y - t) ** 2).mean()), "x", "squeeze excited", "y"


@model
def siamese():
    a, b = T.matrix("a"), T.matrix("b")
    t = T.vector("t")
    W = P("W", 5, 4)
    fa, fb = N("fa", relu(T.dot(a, W))), N("fb", relu(T.dot(b, W)))
    y = N("y", sig(T.dot(abs(fa - fb), P("v", 4))))
    return (
        N("cost", -(t * T.log(y) + (1 - t) * T.log(1 - y)).mean()),
        "a b",
        "fa fb",
        "y",
    )


@model
def siamese_contrastive():
    a, b = T.matrix("a"), T.matrix("b")
    t = T.vector("t")
    W, V = P("W", 5, 4), P("V", 4, 3)
    ha, hb = N("ha", relu(T.dot(a, W))), N("hb", relu(T.dot(b, W)))
    fa, fb = N("fa", T.dot(ha, V)), N("fb", T.dot(hb, V))
    d = N("d", T.sqrt(((fa - fb) ** 2).sum(axis=1)))
    return (
        N("cost", (t * d**2 + (1 - t) * relu(1 - d) ** 2).mean()),
        "a b",
        "ha hb",
        "fa fb",
    )


@model
def l2_in_cost():
    x, t = xt()
    W1, W2 = P("W1", 5, 6), P("W2", 6, 2)
    h = N("h", T.tanh(T.dot(x, W1)))
    y = N("y", T.dot(h, W2))
    l2 = N("L2_sqr", (W1**2).sum() + (W2**2).sum())
    return N("cost", ((y - t) ** 2).mean() + 1e-4 * l2), "x", "h", "y"


@model
def l2_in_each_sample():
    x, t = xt()
    W1, W2 = P("W1", 5, 6), P("W2", 6, 2)
    h = N("h", T.tanh(T.dot(x, W1)))
    y = N("y", T.dot(h, W2))
    return (
        N("cost", (((y - t) ** 2).sum(axis=1) + 1e-4 * (W1**2).sum()).mean()),
        "x",
        "h",
        "y",
    )


@model
def residual():
    x, t = xt()
    h0 = N("h0", relu(T.dot(x, P("W0", 5, 6))))
    h1 = N("h1", h0 + relu(T.dot(h0, P("W1", 6, 6))))
    h2 = N("h2", h1 + relu(T.dot(h1, P("W2", 6, 6))))
    y = N("y", T.dot(h2, P("V", 6, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h0 h1 h2", "y"


@model
def embedding_bag():
    x = T.lmatrix("x")
    t = T.matrix("t")
    e = N("e", P("E", 9, 4)[x])
    m = N("bag", e.mean(axis=1))
    y = N("y", softmax(T.dot(m, P("V", 4, 3))))
    return N("cost", -(t * T.log(y)).sum()), "", "bag", "y"


@model
def vae():
    x = T.matrix("x")
    h = N("h", relu(T.dot(x, P("W1", 5, 4))))
    mu, lv = N("mu", T.dot(h, P("Wm", 4, 2))), N("logvar", T.dot(h, P("Wv", 4, 2)))
    rng = streams(3)
    z = N("z", mu + T.exp(lv / 2) * (rng.normal(size=mu.shape)))
    hd = N("hd", relu(T.dot(z, P("W2", 2, 4))))
    r = N("recon", sig(T.dot(hd, P("W3", 4, 5))))
    kl = N("kl", -0.5 * (1 + lv - mu**2 - T.exp(lv)).sum(axis=1))
    return N("cost", (((r - x) ** 2).sum(axis=1) + kl).mean()), "x", "h hd", "recon"


@model
def head_named_mean():  # the user's own 'mean' is a layer
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W1", 5, 4))))
    mean = N("mean", T.dot(h, P("Wm", 4, 3)) + P("b", 3))
    k = N("max", relu(T.dot(mean, P("Wk", 3, 3))))
    y = N("y", T.dot(k, P("Wy", 3, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h mean max", "y"


@model
def multi_output():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W1", 5, 4))))
    a = N("a", softmax(T.dot(h, P("Wa", 4, 3))))
    b = N("b", T.dot(h, P("Wb", 4, 2)))
    return [a, b], "x", "h", "a b"


@model
def auxiliary_head():
    x, t = xt()
    h1 = N("h1", relu(T.dot(x, P("W1", 5, 4))))
    aux = N("aux", T.dot(h1, P("Wa", 4, 2)))
    h2 = N("h2", relu(T.dot(h1, P("W2", 4, 4))))
    y = N("y", T.dot(h2, P("Wy", 4, 2)))
    return (
        N("cost", ((y - t) ** 2).mean() + 0.3 * ((aux - t) ** 2).mean()),
        "x",
        "h1 h2",
        "aux y",
    )


@model
def temperature():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W1", 5, 4))))
    logits = N("logits", T.dot(h, P("W2", 4, 3)))
    tau = engine.shared(np.float64(1.5), name="tau")
    p = N("p", softmax(logits * tau))
    return N("cost", -(t * T.log(p)).mean()), "x", "h", "p"


@model
def output_scale_vector():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W1", 5, 4))))
    raw = N("raw", T.dot(h, P("W2", 4, 3)))
    y = N("y", raw * P("scale", 3) + P("shift", 3))
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def prelu():
    x, t = xt()
    z = N("z", T.dot(x, P("W1", 5, 4)))
    h = N("h", T.switch(z > 0, z, P("slope", 4) * z))
    y = N("y", T.dot(h, P("W2", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def linear_regression_vector():
    x = T.matrix("x")
    t = T.vector("t")
    y = N("y", T.dot(x, P("w", 5)) + engine.shared(0.0, name="b"))
    return N("cost", ((y - t) ** 2).mean()), "x", "", "y"


@model
def product_by_hand():
    x, t = xt()
    h = N(
        "h",
        relu(
            (x.dimshuffle(0, 1, "x") * P("W", 5, 4).dimshuffle("x", 0, 1)).sum(axis=1)
        ),
    )
    y = N("y", (h * P("v", 4)).sum(axis=1))
    return N("cost", ((y - t[:, 0]) ** 2).mean()), "x", "h", "y"


@model
def position_embedding():
    x = T.tensor3("x")
    t = T.tensor3("t")
    e = N("e", T.dot(x, P("We", 4, 4)) + P("pos", 6, 4))
    h = N("h", relu(T.dot(e, P("W", 4, 4))))
    y = N("y", T.dot(h, P("V", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "e h", "y"


@model
def standardized_input():
    x, t = xt()
    s = N("scaled", (x - x.mean(axis=0)) / x.std(axis=0))
    h = N("h", T.tanh(T.dot(s, P("W1", 5, 6))))
    y = N("y", T.dot(h, P("W2", 6, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def no_parameters_weights_are_inputs():
    x = T.matrix("x")
    W1, W2 = T.matrix("W1"), T.matrix("W2")
    h = N("h", T.tanh(T.dot(x, W1)))
    y = N("y", T.dot(h, W2))
    return y, "x", "h", "y"


@model
def no_parameters_constants():  # a frozen network
    x = T.matrix("x")
    h = N("h", T.tanh(T.dot(x, RNG.randn(5, 4))))
    y = N("y", T.dot(h, RNG.randn(4, 2)))
    return y, "x", "h", "y"


@model
def pymc_like():  # data in shared variables, weights random variables
    X, Y = (
        engine.shared(RNG.randn(7, 5), name="X"),
        engine.shared(RNG.randn(7, 2), name="Y"),
    )
    rng = streams(5)
    W1, W2 = rng.normal(size=(5, 4)), rng.normal(size=(4, 2))
    W1.name, W2.name = "W1", "W2"
    h = N("h", T.tanh(T.dot(X, W1)))
    mu = N("mu", T.dot(h, W2))
    return N("logp", -((Y - mu) ** 2).sum()), "", "h", "mu"


@model
def data_in_shared():  # minibatch taken from a shared data set by an index
    D, t = engine.shared(RNG.randn(20, 5), name="train_x"), T.matrix("t")
    i = T.lscalar("index")
    x = N("x", D[i * 5 : (i + 1) * 5])
    h = N("h", T.tanh(T.dot(x, P("W1", 5, 4))))
    y = N("y", T.dot(h, P("W2", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def energy_scalar():
    x = T.matrix("x")
    h = N("h", T.tanh(T.dot(x, P("W1", 5, 4))))
    return N("energy", (h * P("v", 4)).sum()), "x", "h", "energy"


@model
def two_weights_one_name():
    x, t = xt()
    h = N("h", T.tanh(T.dot(x, P("W", 5, 6))))
    g = N("h", T.tanh(T.dot(h, P("W", 6, 6))))
    y = N("y", T.dot(g, P("W", 6, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h h#2", "y"


@model
def maxout():
    x, t = xt()
    z = N("z", T.dot(x, P("W1", 5, 8)) + P("b1", 8))
    h = N("h", T.max(z.reshape((-1, 4, 2)), axis=2))
    y = N("y", T.dot(h, P("W2", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def highway():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W0", 5, 4))))
    g = N("gate", sig(T.dot(h, P("Wg", 4, 4))))
    o = N("o", g * relu(T.dot(h, P("W1", 4, 4))) + (1 - g) * h)
    y = N("y", T.dot(o, P("W2", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h o", "y"


@model
def concatenated_inputs():
    x, t = xt()
    x2 = T.matrix("x2")
    h = N("h", relu(T.dot(x, P("W1", 5, 4))))
    j = T.concatenate([h, x2], axis=1)
    g = N("g", relu(T.dot(j, P("W2", 7, 4))))
    y = N("y", T.dot(g, P("W3", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x x2", "h g", "y"


@model
def weight_norm():
    x, t = xt()
    V = P("V", 5, 4)
    W = N("Wn", P("gain", 4) * V / T.sqrt((V**2).sum(axis=0)))
    h = N("h", relu(T.dot(x, W)))
    y = N("y", T.dot(h, P("W2", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def dropout_by_hand():
    x, t = xt()
    rng = streams(7)
    h = N("h", relu(T.dot(x, P("W1", 5, 4))))
    u = rng.uniform(size=h.shape)
    d = N("d", h * (u > 0.5) / 0.5)
    y = N("y", T.dot(d, P("W2", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "d", "y"


@model
def residual_output():  # DnCNN: the output is the input less what was found
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W1", 5, 4))))
    y = N("y", x - T.dot(h, P("W2", 4, 5)))
    return N("cost", ((y - t) ** 2).mean()), "x", "h", "y"


@model
def gan_generator():
    z = T.matrix("z")
    g = N("g", relu(T.dot(z, P("G1", 3, 4))))
    fake = N("fake", T.tanh(T.dot(g, P("G2", 4, 5))))
    d = N("dh", relu(T.dot(fake, P("D1", 5, 4))))
    p = N("p", sig(T.dot(d, P("D2", 4, 1))))
    return N("cost", -T.log(p).mean()), "z", "g dh", "p"


@model
def logistic_tutorial():
    x = T.matrix("x")
    y = T.lvector("y")
    p = N("p_y_given_x", softmax(T.dot(x, P("W", 5, 3)) + P("b", 3)))
    pred = N("y_pred", T.argmax(p, axis=1))
    return (
        [N("cost", -T.log(p)[T.arange(y.shape[0]), y].mean()), pred],
        "x",
        "",
        "p_y_given_x",
    )


@model
def char_rnn_softmax_inside():
    x, t = T.tensor3("x"), T.tensor3("t")
    W, U, V = P("W", 3, 4), P("U", 4, 4), P("V", 4, 3)

    def step(x_, h_):
        h = T.tanh(T.dot(x_, W) + T.dot(h_, U))
        return h, softmax(T.dot(h, V))

    h, p = scan(step, sequences=[x], outputs_info=[T.zeros((x.shape[1], 4)), None])
    h.name, p.name = "h", "p"
    return N("cost", -(t * T.log(p)).sum()), "x", "", "p"


@model
def seq2seq_teacher_forcing():
    x, y, t = T.tensor3("x"), T.tensor3("y"), T.tensor3("t")
    W, U, Wd, Ud, V = (
        P("W", 3, 4),
        P("U", 4, 4),
        P("Wd", 3, 4),
        P("Ud", 4, 4),
        P("V", 4, 3),
    )
    enc = N(
        "enc",
        scan(
            lambda x_, h_: T.tanh(T.dot(x_, W) + T.dot(h_, U)),
            sequences=[x],
            outputs_info=[T.zeros((x.shape[1], 4))],
        ),
    )
    c = N("context", enc[-1])
    dec = N(
        "dec",
        scan(
            lambda y_, h_: T.tanh(T.dot(y_, Wd) + T.dot(h_, Ud)),
            sequences=[y],
            outputs_info=[c],
        ),
    )
    p = N("p", T.exp(T.dot(dec, V)) / T.exp(T.dot(dec, V)).sum(axis=-1, keepdims=True))
    return N("cost", -(t * T.log(p)).sum()), "x y", "context dec", "p"


@model
def activity_penalty_in_cost():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W1", 5, 4))))
    y = N("y", T.dot(h, P("W2", 4, 2)))
    act = N("act", abs(h).mean())
    each = N("each", (h**2).sum(axis=1))
    return (
        N("cost", ((y - t) ** 2).mean() + 1e-3 * act + 1e-3 * each.mean()),
        "x",
        "h",
        "y",
    )


@model
def mixture_density():
    x = T.matrix("x")
    t = T.vector("t")
    h = N("h", T.tanh(T.dot(x, P("W1", 5, 4))))
    mu, s, pi = (
        N("mu", T.dot(h, P("Wm", 4, 3))),
        N("sigma", T.exp(T.dot(h, P("Ws", 4, 3)))),
        N("pi", softmax(T.dot(h, P("Wp", 4, 3)))),
    )
    return (
        N(
            "nll",
            -T.log(
                (pi * T.exp(-0.5 * ((t.dimshuffle(0, "x") - mu) / s) ** 2) / s).sum(
                    axis=1
                )
            ).mean(),
        ),
        "x",
        "h",
        "mu sigma pi",
    )


@model
def lenet_pool():
    x = T.tensor4("x")
    t = T.matrix("t")
    c = conv(x, P("K1", 4, 1, 3, 3))
    p = N(
        "pool1",
        pool_2d(c, (2, 2), ignore_border=True) if IS_THEANO else c[:, :, ::2, ::2],
    )
    h1 = N("h1", T.tanh(p + P("b1", 4).dimshuffle("x", 0, "x", "x")))
    f = h1.flatten(2) if IS_THEANO else h1.reshape((h1.shape[0], -1))
    h2 = N("h2", T.tanh(T.dot(f, P("W2", 16, 6))))
    y = N("y", softmax(T.dot(h2, P("W3", 6, 3))))
    return N("cost", -(t * T.log(y)).sum()), "x", "h1 h2", "y"


@more
def vector_matmul():
    x, t = T.matrix("x"), T.vector("t")
    h = N("h", relu(T.dot(x, P("W", 5, 4))))
    y = N("y", T.dot(h, P("v", 4)) if IS_THEANO else h @ P("v", 4))
    return ((y - t) ** 2).mean(), "x", "h", "y"


@more
def multihead():
    x, t = T.tensor3("x"), T.tensor3("t")

    def heads(v):
        return v.reshape((v.shape[0], v.shape[1], 2, 2)).dimshuffle(0, 2, 1, 3)

    q, k, v = (heads(T.dot(x, P(n, 4, 4))) for n in "qkv")
    s = N(
        "scores",
        (q.dimshuffle(0, 1, 2, "x", 3) * k.dimshuffle(0, 1, "x", 2, 3)).sum(axis=4),
    )
    a = N("att", T.exp(s) / T.exp(s).sum(axis=-1, keepdims=True))
    c = N(
        "ctx",
        (a.dimshuffle(0, 1, 2, 3, "x") * v.dimshuffle(0, 1, "x", 2, 3))
        .sum(axis=3)
        .dimshuffle(0, 2, 1, 3)
        .reshape((x.shape[0], x.shape[1], 4)),
    )
    y = N("y", T.dot(c, P("Wo", 4, 2)))
    return N("cost", ((y - t) ** 2).mean()), "x", "ctx", "y"


@more
def birnn():
    x, t = T.tensor3("x"), T.tensor3("t")

    def rnn(n, **k):
        W, U = P("W" + n, 3, 4), P("U" + n, 4, 4)
        return scan(
            lambda x_, h_: T.tanh(T.dot(x_, W) + T.dot(h_, U)),
            sequences=[x],
            outputs_info=[T.zeros((x.shape[1], 4))],
            **k,
        )

    f = N("f", rnn("f"))
    b = N("b", rnn("b", go_backwards=True)[::-1])
    h = N("h", T.concatenate([f, b], axis=2))
    y = N("y", T.dot(h, P("V", 8, 2)))
    return ((y - t) ** 2).mean(), "x", "h", "y"


@more
def rnnslu():
    idxs = T.lmatrix("idxs")
    ys = T.lvector("ys")
    E = P("emb", 10, 4)
    x = N("x", E[idxs].reshape((idxs.shape[0], 12)))
    Wx, Wh, W, bh, b, h0 = (
        P("wx", 12, 5),
        P("wh", 5, 5),
        P("w", 5, 3),
        P("bh", 5),
        P("b", 3),
        P("h0", 5),
    )

    def rec(x_t, h_tm1):
        h = sig(T.dot(x_t, Wx) + T.dot(h_tm1, Wh) + bh)
        s = T.dot(h, W) + b
        e = T.exp(s - s.max())
        return h, e / e.sum()

    h, s = scan(rec, sequences=x, outputs_info=[h0, None])
    h.name = "h"
    p = N("p", s[:, :])
    return -T.log(p)[T.arange(3), ys].mean(), "", "x", "p"


@more
def matrix_factorization():
    i, j = T.lvector("i"), T.lvector("j")
    r = T.vector("r")
    a, b = N("a", P("U", 9, 3)[i]), N("b", P("V", 9, 3)[j])
    y = N("y", (a * b).sum(axis=1))
    return ((y - r) ** 2).mean(), "", "", "y"


@more
def ncf():
    i, j = T.lvector("i"), T.lvector("j")
    r = T.vector("r")
    a, b = P("U", 9, 3)[i], P("V", 9, 3)[j]
    e = N("e", T.concatenate([a, b], axis=1))
    h = N("h", relu(T.dot(e, P("W", 6, 4))))
    y = N("y", T.dot(h, P("v", 4)))
    return ((y - r) ** 2).mean(), "", "e h", "y"


@more
def tensordot():
    x, t = T.tensor3("x"), T.matrix("t")
    h = N("h", relu(T.tensordot(x, P("W", 3, 4, 5), axes=[[1, 2], [0, 1]])))
    y = N("y", T.tensordot(h, P("V", 5, 2), 1))
    return ((y - t) ** 2).mean(), "x", "h", "y"


@more
def class_weights_dot():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W", 5, 4))))
    p = N("p", softmax(T.dot(h, P("V", 4, 3))))
    each = N("each", -(t * T.log(p)).sum(axis=1))
    cw = P("cw", 3)
    return (each * T.dot(t, cw)).mean(), "x", "h", "p"


@more
def class_weights_lookup():
    x = T.matrix("x")
    t = T.lvector("t")
    h = N("h", relu(T.dot(x, P("W", 5, 4))))
    p = N("p", softmax(T.dot(h, P("V", 4, 3))))
    each = N("each", -T.log(p)[T.arange(t.shape[0]), t])
    return (each * P("cw", 3)[t]).mean(), "x", "h", "p"


@more
def center_loss():
    x = T.matrix("x")
    t = T.lvector("t")
    h = N("h", relu(T.dot(x, P("W", 5, 4))))
    p = N("p", softmax(T.dot(h, P("V", 4, 3))))
    each = N("each", -T.log(p)[T.arange(t.shape[0]), t])
    return each.mean() + ((h - P("C", 3, 4)[t]) ** 2).sum(axis=1).mean(), "x", "h", "p"


@more
def crf():
    x = T.tensor3("x")
    h = N("h", relu(T.dot(x, P("W", 5, 4))))
    y = N("y", T.dot(h, P("V", 4, 3)))
    tr = P("trans", 3, 3)
    a = scan(
        lambda e, a_: (
            e
            + T.log(
                T.exp(a_.dimshuffle(0, 1, "x") + tr.dimshuffle("x", 0, 1)).sum(axis=1)
            )
        ),
        sequences=[y[1:]],
        outputs_info=[y[0]],
    )
    return T.log(T.exp(a[-1]).sum(axis=1)).mean(), "x", "h", "y"


@more
def crf_2d():
    x = T.matrix("x")
    h = N("h", relu(T.dot(x, P("W", 5, 4))))
    y = N("y", T.dot(h, P("V", 4, 3)))
    tr = P("trans", 3, 3)
    a = scan(
        lambda e, a_: e + T.log(T.exp(a_.dimshuffle(0, "x") + tr).sum(axis=0)),
        sequences=[y[1:]],
        outputs_info=[y[0]],
    )
    return T.log(T.exp(a[-1]).sum()), "x", "h", "y"


@more
def glu():
    x, t = xt()
    z = N("z", T.dot(x, P("W", 5, 8)))
    h = N("h", z[:, :4] * sig(z[:, 4:]))
    y = N("y", T.dot(h, P("V", 4, 2)))
    return ((y - t) ** 2).mean(), "x", "h", "y"


@more
def unet():
    x, t = T.tensor4("x"), T.tensor4("t")
    d = N("d", relu(conv(x, P("K1", 4, 2, 1, 1))))
    m = N("m", relu(conv(d, P("K2", 4, 4, 1, 1))))
    c = N("c", T.concatenate([d, m], axis=1))
    y = N("y", conv(c, P("K3", 2, 8, 1, 1)))
    return ((y - t) ** 2).mean(), "x", "d c", "y"


@more
def clipped():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W", 5, 4))))
    p = N("p", softmax(T.dot(h, P("V", 4, 3))))
    q = N("clipped", T.clip(p, 1e-7, 1 - 1e-7))
    return -(t * T.log(q)).sum(axis=1).mean(), "x", "h", "clipped"


@more
def info_nce():
    a, b = T.matrix("a"), T.matrix("b")
    W, V = P("W", 5, 4), P("V", 4, 3)
    ha, hb = N("ha", relu(T.dot(a, W))), N("hb", relu(T.dot(b, W)))
    za, zb = N("za", T.dot(ha, V)), N("zb", T.dot(hb, V))
    s = N("sim", T.dot(za, zb.T))
    return (
        -T.log(T.exp(s) / T.exp(s).sum(axis=1, keepdims=True)).mean(),
        "a b",
        "ha hb",
        "sim",
    )


@more
def learned_query():
    x, t = T.tensor3("x"), T.matrix("t")
    h = N("h", T.tanh(T.dot(x, P("W", 5, 4))))
    s = N("s", T.dot(h, P("q", 4)))
    a = N("a", T.exp(s) / T.exp(s).sum(axis=1, keepdims=True))
    c = N("c", (h * a.dimshuffle(0, 1, "x")).sum(axis=1))
    y = N("y", T.dot(c, P("V", 4, 2)))
    return ((y - t) ** 2).mean(), "x", "h c", "y"


@more
def two_losses_named():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W", 5, 4))))
    y = N("y", T.dot(h, P("V", 4, 2)))
    err = N("err", y - t)
    se = N("se", err**2)
    mse = N("mse", se.mean())
    return N("total", mse + 0.1 * abs(h).mean()), "x", "h", "y"


@more
def pinn():
    x = T.matrix("x")
    h = N("h", T.tanh(T.dot(x, P("W", 1, 4))))
    y = N("u", T.dot(h, P("V", 4, 1)))
    g = engine.grad(y.sum(), x)
    return ((g - y) ** 2).mean(), "x", "h", "u"


@more
def ladder_noise():
    x, t = xt()
    rng = streams(3)
    xn = N("xn", x + (rng.normal(size=x.shape)))
    h = N("h", relu(T.dot(xn, P("W", 5, 4))))
    hn = N("hn", h + rng.normal(size=h.shape))
    y = N("y", T.dot(hn, P("V", 4, 2)))
    return ((y - t) ** 2).mean(), "x", "hn", "y"


@more
def network3():
    x = T.matrix("x")
    y = T.lvector("y")
    inpt = x.reshape((10, 1, 6, 6))
    c = conv(inpt, P("w", 4, 1, 3, 3))
    o = N("pooled", sig(c[:, :, ::2, ::2] + P("b", 4).dimshuffle("x", 0, "x", "x")))
    f = o.reshape((10, 16))
    h = N("fc", sig(0.5 * T.dot(f, P("w", 16, 8)) + P("b", 8)))
    p = softmax(T.dot(h, P("w", 8, 3)) + P("b", 3))
    p.name = "output"
    return -T.mean(T.log(p)[T.arange(y.shape[0]), y]), "x", "pooled fc", "output"


@more
def perceiver_const_dct():
    x, t = xt()
    h = N("h", relu(T.dot(x, P("W", 5, 4))))
    m = N("m", T.dot(h, RNG.randn(4, 4)))
    g = N("g", relu(T.dot(m, P("W2", 4, 4))))
    y = N("y", T.dot(g, P("V", 4, 2)))
    return ((y - t) ** 2).mean(), "x", "h m g", "y"


@more
def bilinear():
    a, b = T.matrix("a"), T.matrix("b")
    ha, hb = (
        N("ha", relu(T.dot(a, P("A", 5, 4)))),
        N("hb", relu(T.dot(b, P("B", 5, 4)))),
    )
    y = N("y", (T.dot(ha, P("M", 4, 4)) * hb).sum(axis=1))
    return y.mean(), "a b", "ha", "y"


@more
def group_norm_mean_var():
    x, t = T.tensor4("x"), T.matrix("t")
    c = conv(x, P("K", 4, 2, 1, 1))
    m = c.mean(axis=(1, 2, 3), keepdims=True)
    v = c.var(axis=(1, 2, 3), keepdims=True)
    h = N("h", relu((c - m) / T.sqrt(v + 1e-5)))
    y = N("y", T.dot(h.mean(axis=(2, 3)), P("V", 4, 2)))
    return ((y - t) ** 2).mean(), "x", "h", "y"
