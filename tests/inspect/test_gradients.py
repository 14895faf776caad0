import numpy as np
import pytest
import torch
from torch import nn

from bench.inspect.gradients import Answer, first_class, grad_cam, smooth_gradient
from bench.measure.build import build_model


class Linear(nn.Module):
    """Scores are weighted sums of pixels: the gradient is the weights, whatever the noise."""

    def __init__(self, side=4):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0)))

    def forward(self, images):
        return torch.einsum("bchw,kchw->bk", images, self.weight)


def test_the_gradient_of_a_linear_model_is_its_weights():
    model = Linear()
    found = smooth_gradient(model, torch.randn(1, 3, 4, 4), target=1)
    expected = model.weight[1].detach().abs().amax(dim=0).numpy()  # the largest of three channels
    assert np.allclose(found, expected, atol=1e-6)


def test_the_gradient_is_the_same_each_time_and_leaves_the_model_alone():
    model = build_model("vit_32px_s", seed=0).eval().requires_grad_(False)
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    first, second = (smooth_gradient(model, images, target=3) for _ in range(2))
    assert first.shape == (32, 32)
    assert np.array_equal(first, second)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_noise_is_averaged_over_copies():
    """A score of pixels cubed has gradient 3 x^2; over noise of deviation s its mean at x = 0 is 3 s^2."""

    class Cube(nn.Module):
        def forward(self, images):
            return torch.stack([images[:, 0].pow(3).sum(dim=(1, 2)), images.sum(dim=(1, 2, 3))], dim=1)

    images = torch.zeros(1, 3, 32, 32)
    images[0, 1, 0, 0] = 1.0  # max - min is 1; the channel that counts stays zero
    found = smooth_gradient(Cube(), images, target=0, copies=64, noise_share=0.5)
    # deviation of a mean of 64 squares 3 s^2 sqrt(2 / 64) = 0.13 a pixel, 0.004 for the mean of 1,024 of them
    assert float(found.mean()) == pytest.approx(3 * 0.5**2, abs=0.02)


class OneMap(nn.Module):
    """Feature maps are the image's channels, 4 x 4; scores are weighted means of the channels."""

    def __init__(self, weights):
        super().__init__()
        self.features, self.weights = nn.Identity(), torch.tensor(weights)

    def forward(self, images):
        return self.features(images).mean(dim=(2, 3)) @ self.weights.T


def test_grad_cam_is_the_positive_part_of_the_weighted_channels():
    """With scores w . mean(channel) the mean gradient of a channel is w / 16, so the map is relu(sum w x) / 16."""
    images = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    found = grad_cam(OneMap([[0.0, 0.0, 0.0], [2.0, -1.0, 0.5]]), images, target=1)
    expected = (2 * images[0, 0] - images[0, 1] + 0.5 * images[0, 2]).clamp(min=0) / 16
    assert found.layer == "features"
    assert np.allclose(found.weights, expected.numpy(), atol=1e-7)


def test_grad_cam_reads_the_last_map_that_is_large_enough():
    found = grad_cam(build_model("resnet_32px_s", seed=0).eval(), torch.randn(1, 3, 32, 32), target=0)
    assert found.layer == "layer2"  # 4 x 4; layer3 has 2 x 2, layer4 a single place
    assert found.weights.shape == (4, 4)
    assert (found.weights >= 0).all()


def test_grad_cam_of_a_model_without_feature_maps_says_so():
    assert "no feature map" in grad_cam(Linear(), torch.randn(1, 3, 4, 4), target=0)


def test_the_first_class_is_the_one_with_the_highest_score():
    class Fixed(nn.Module):
        def forward(self, images):
            return torch.tensor([[0.0, np.log(3.0)]])

    assert first_class(Fixed(), torch.zeros(1, 3, 4, 4)) == Answer(1, pytest.approx(0.75))


@pytest.mark.parametrize("scores", [torch.zeros(1, 3, 4), torch.full((1, 2), torch.nan), torch.zeros(1, 1), "text"])
def test_what_is_no_scores_has_no_first_class(scores):
    class Odd(nn.Module):
        def forward(self, images):
            return scores

    assert isinstance(first_class(Odd(), torch.zeros(1, 3, 4, 4)), str)
