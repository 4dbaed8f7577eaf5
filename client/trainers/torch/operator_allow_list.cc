#include "client/trainers/torch/operator_allow_list.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace fedwatt {
namespace {

constexpr char kControlFlow[] =
    "Constant CallFunction CallMethod DictConstruct EnumName EnumValue GetAttr If ListConstruct "
    "ListUnpack Loop NumToTensor RaiseException SetAttr TupleConstruct TupleIndex TupleSlice "
    "TupleUnpack Uninitialized abs data device dtype is_cpu is_cuda is_meta is_mkldnn is_nested "
    "is_quantized is_sparse is_sparse_csr is_xpu layout max min rangelist requires_grad tolist "
    "CreateObject isinstance unchecked_cast unchecked_unwrap_optional ConstantChunk";

// Scalars, strings, lists and dictionaries of the TorchScript language.
constexpr char kLanguage[] =
    "Bool Complex Float FloatImplicit Int IntImplicit ScalarImplicit Size __and__ __contains__ "
    "__derive_index __getitem__ __is__ __isnot__ __not__ __or__ __range_length "
    "__round_to_zero_floordiv __xor__ __lshift__ __rshift__ _set_item _unwrap_optional append "
    "clear copy dict divmod extend endswith find format get hash index insert items join keys len "
    "list lower ord percentFormat pop replace reverse setdefault sorted split startswith str strip "
    "update upper values warn is_grad_enabled is_autocast_enabled is_autocast_cpu_enabled "
    "is_scripting has_torch_function _infer_size _list_to_tensor _tensor_to_list Delete ceil floor";

constexpr char kArithmetic[] =
    "abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr all allclose amax amin "
    "aminmax angle any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin "
    "argsort argwhere asin asinh atan atan2 atanh baddbmm bernoulli bincount bitwise_and "
    "bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm bucketize cdist "
    "ceil chain_matmul cholesky cholesky_solve clamp clamp_max clamp_min clip conj copysign cos "
    "cosh count_nonzero cov cross cummax cummin cumprod cumsum deg2rad det diff digamma dist div "
    "divide dot einsum eq equal erf erfc erfinv exp exp2 expm1 exponential floor floor_divide "
    "floordiv fmax fmin fmod frac frobenius_norm ge geqrf ger greater greater_equal gt heaviside "
    "histc hypot i0 imag inner inverse isclose isfinite isin isinf isnan isneginf isposinf isreal "
    "kron kthvalue le lerp less less_equal lgamma log log10 log1p log2 log_normal logaddexp "
    "logaddexp2 logcumsumexp logdet logical_and logical_not logical_or logical_xor logit logsumexp "
    "lt matmul mathremainder matrix_exp matrix_power max maximum mean median min minimum mm mode "
    "msort mul multinomial multiply mv nan_to_num nanmean nanmedian nansum ne neg negative norm "
    "normal not_equal nuclear_norm outer polar polygamma positive pow prod quantile rad2deg "
    "radians real reciprocal remainder renorm round rsqrt rsub searchsorted sgn sigmoid sign "
    "signbit sin sinc sinh slogdet softmax sort sqrt square std std_mean sub subtract sum svd tan "
    "tanh tensordot topk trace trapezoid triangular_solve true_divide trunc fix uniform "
    "unique_consecutive unique_dim _unique2 var var_mean vdot xlogy degrees factorial fabs "
    "isnumeric gcd lcm nanquantile";

constexpr char kLinearAlgebra[] =
    "linalg_cholesky linalg_cross linalg_det linalg_diagonal linalg_eigh linalg_eigvalsh "
    "linalg_inv linalg_matmul linalg_matrix_norm linalg_matrix_power linalg_norm linalg_pinv "
    "linalg_qr linalg_slogdet linalg_solve linalg_solve_triangular linalg_svd linalg_svdvals "
    "linalg_vecdot linalg_vector_norm fft_fft fft_fft2 fft_fftfreq fft_fftn fft_fftshift fft_ifft "
    "fft_ifft2 fft_ifftn fft_ifftshift fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 "
    "fft_rfftfreq fft_rfftn special_erf special_erfc special_expit special_expm1 special_gammaln "
    "special_log1p special_log_softmax special_logsumexp special_softmax special_xlog1py "
    "special_xlogy hann_window hamming_window blackman_window kaiser_window stft istft";

constexpr char kLayers[] =
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d affine_grid_generator alpha_dropout avg_pool1d "
    "avg_pool2d avg_pool3d batch_norm bilinear binary_cross_entropy "
    "binary_cross_entropy_with_logits celu channel_shuffle constant_pad_nd conv1d conv2d conv3d "
    "conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution _convolution "
    "_convolution_mode cosine_embedding_loss cosine_similarity cross_entropy_loss dropout elu "
    "embedding embedding_renorm feature_alpha_dropout feature_dropout gelu glu grid_sampler "
    "group_norm gru gru_cell hardshrink hardsigmoid hardswish hardtanh hinge_embedding_loss "
    "huber_loss instance_norm kl_div l1_loss layer_norm leaky_relu linear log_sigmoid log_softmax "
    "_log_softmax _softmax lstm lstm_cell margin_ranking_loss max_pool1d max_pool1d_with_indices "
    "max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices mish mse_loss "
    "multi_margin_loss multilabel_margin_loss native_batch_norm native_dropout native_group_norm "
    "native_layer_norm nll_loss nll_loss2d nll_loss_nd one_hot pad pairwise_distance pdist "
    "pixel_shuffle pixel_unshuffle poisson_nll_loss prelu reflection_pad1d reflection_pad2d "
    "reflection_pad3d relu relu6 replication_pad1d replication_pad2d replication_pad3d rnn_relu "
    "rnn_relu_cell rnn_tanh rnn_tanh_cell rrelu selu silu smooth_l1_loss soft_margin_loss "
    "softplus softshrink threshold triplet_margin_loss upsample_bicubic2d upsample_bilinear2d "
    "upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d "
    "upsample_trilinear3d __interpolate _pack_padded_sequence _pad_packed_sequence pad_sequence "
    "_pad_circular _pad_enum _scaled_dot_product_attention scaled_dot_product_attention "
    "_native_multi_head_attention _transformer_encoder_layer_fwd _weight_norm "
    "_weight_norm_interface rms_norm _nested_tensor_from_mask "
    "_nested_tensor_from_mask_left_aligned nested_to_padded_tensor to_padded_tensor";

constexpr char kShapes[] =
    "align_tensors as_tensor atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors "
    "broadcast_to cartesian_prod cat chunk clone column_stack combinations complex concat "
    "concatenate contiguous copy cpu cuda detach device diag diag_embed diagflat diagonal "
    "diagonal_scatter dim double dsplit dstack element_size empty empty_like expand expand_as eye "
    "fill flatten flip fliplr flipud full full_like gather get_device hsplit hstack im2col col2im "
    "index index_add index_copy index_fill index_put index_reduce index_select is_complex "
    "is_contiguous is_floating_point is_nonzero is_signed item linspace logspace masked_fill "
    "masked_scatter masked_select meshgrid moveaxis movedim narrow new_empty new_full new_ones "
    "new_zeros nonzero nonzero_numpy numel numpy_T ones ones_like permute put rand rand_like "
    "randint "
    "randint_like randn randn_like random randperm range ravel repeat repeat_interleave reshape "
    "reshape_as resolve_conj roll rot90 row_stack scalar_tensor scatter scatter_add scatter_reduce "
    "select select_scatter size slice slice_scatter split split_with_sizes squeeze stack stride "
    "sum_to_size swapaxes swapdims t take take_along_dim tensor tensor_split tile to transpose "
    "tril tril_indices triu triu_indices type_as unbind unflatten unfold unsafe_chunk unsafe_split "
    "unsqueeze vander view view_as view_as_complex view_as_real vsplit vstack where zero zeros "
    "zeros_like mT mH promote_types result_type _shape_as_tensor _reshape_from_tensor "
    "_cast_Float _cast_Long _cast_Int _cast_Double";

void AddAll(const char* space, const char* names, std::set<std::string>* out) {
  const std::vector<std::string> list = absl::StrSplit(names, ' ', absl::SkipEmpty());
  for (const std::string& name : list) out->insert(absl::StrCat(space, "::", name));
}

std::string Danger(const std::string& op) {
  static const std::map<std::string, std::string> kKnown = {
      {"aten::from_file", "it reads a local file"},
      {"aten::save", "it writes a local file"},
      {"aten::manual_seed", "it makes training depend on more than the job's seed"},
      {"aten::set_", "it can make a tensor point at foreign memory"},
      {"aten::resize_", "it exposes uninitialised memory"},
      {"aten::as_strided", "it addresses memory behind a tensor's shape"},
      {"prim::Print", "it writes to the device's standard output"},
      {"prim::PythonOp", "it calls Python"},
      {"prim::IgnoredPythonOp", "it calls Python"},
      {"aten::wait", "it waits for threads, so that results would depend on timing"},
      {"prim::fork", "it starts threads, so that results would depend on timing"},
      {"prim::rpc_async", "it uses the network"},
      {"prim::rpc_sync", "it uses the network"},
      {"prim::rpc_remote", "it uses the network"},
  };
  const auto known = kKnown.find(op);
  return known == kKnown.end() ? "" : absl::StrCat(": ", known->second);
}

}  // namespace

OperatorAllowList::OperatorAllowList(const std::vector<std::string>& extra)
    : names_(extra.begin(), extra.end()) {
  AddAll("prim", kControlFlow, &names_);
  for (const char* group : {kLanguage, kArithmetic, kLinearAlgebra, kLayers, kShapes}) {
    AddAll("aten", group, &names_);
  }
}

bool OperatorAllowList::Contains(const std::string& op) const {
  if (names_.count(op) > 0) return true;
  const bool in_place = op.rfind("aten::", 0) == 0 && op.back() == '_' && !op.ends_with("__");
  return in_place && names_.count(op.substr(0, op.size() - 1)) > 0;
}

absl::Status OperatorAllowList::Check(const std::string& op, const std::string& method) const {
  if (Contains(op)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "operator ", op, " in method ", method, " is not on the allow-list", Danger(op),
      ". Remove it from the model, or, if you trust its author, allow it on this device with ",
      "--allow-op ", op));
}

}  // namespace fedwatt
