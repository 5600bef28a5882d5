"""Operations that change live accounts where Terraform cannot."""
